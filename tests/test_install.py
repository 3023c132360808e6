"""What is installed: setup.py, requirements-next.txt, the messages and the changelog agree."""

import ast
import re
import sys

import pytest

import bert_tf
from bert_tf.errors import UserError
from bert_tf.packages import require_tf_models
from tests.tiny import ROOT


def requirements():
    """{package: specifier} that setup.py installs."""
    tree = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    (found,) = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "install_requires"
    )
    return dict(re.match(r"([\w-]+)(.*)", line).groups() for line in ast.literal_eval(found))


def test_the_next_tensorflow_is_the_same_list_without_tf_models():
    text = (ROOT / "requirements-next.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    following = dict(re.match(r"([\w-]+)(.*)", line).groups() for line in lines)
    default = requirements()
    assert default.pop("tf-models-official")
    assert following.keys() == default.keys()
    pinned = {n: v for n, v in following.items() if v != default[n]}
    assert pinned == dict.fromkeys(("tensorflow", "tensorflow-text", "tf-keras"), "==2.21.*")


def test_the_message_installs_what_setup_does(monkeypatch):
    monkeypatch.setitem(sys.modules, "official", None)
    with pytest.raises(UserError) as error:
        require_tf_models("this")
    assert f"'tf-models-official{requirements()['tf-models-official']}'" in str(error.value)


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## (.*)$", text, re.MULTILINE)[1] == bert_tf.__version__
