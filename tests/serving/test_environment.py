"""Serving needs numpy, onnxruntime and tokenizers, nothing else."""

import pathlib
import subprocess
import sys

import pytest

from bert_tf.serving import Classifier
from tests import tiny
from tests.serving.environment import without_tensorflow

TEXTS = ["good film", "", "深度 bad", "good " * 200]
CLASSIFY = """
import sys
from bert_tf.serving import Classifier
found = Classifier(sys.argv[1])(sys.argv[2:])
print([(x.label, round(x.probability, 5)) for x in found])
"""
FOREIGN = """
allowed = {"bert_tf", "numpy", "onnxruntime", "tokenizers"}
top = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - allowed
print(sorted(x for x in top if "site-packages" in (getattr(sys.modules[x], "__file__", "") or "")))
"""


def expected(folder):
    return str([(x.label, round(x.probability, 5)) for x in Classifier(folder)(TEXTS)])


def test_nothing_else_is_imported(classifier_folder):
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY + FOREIGN, classifier_folder, *TEXTS],
        capture_output=True, text=True, env=tiny.environment(), check=True,
    )  # fmt: skip
    predictions, foreign = done.stdout.splitlines()
    assert predictions == expected(classifier_folder)
    # What an editable installation and setuptools put into every process.
    assert not [x for x in eval(foreign) if not x.startswith(("__editable__", "_distutils_hack"))]


THREADS = """
import os, sys
from bert_tf.serving import Classifier
classify = Classifier(sys.argv[1], threads=1)
before = len(os.listdir("/proc/self/task"))
classify(sys.argv[2:])
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux lists them")
def test_one_thread_starts_no_other(classifier_folder):
    done = subprocess.run(
        [sys.executable, "-c", THREADS, classifier_folder, *TEXTS],
        capture_output=True, text=True, env=tiny.environment(), check=True,
    )  # fmt: skip
    assert done.stdout == "0\n"


def test_the_package_alone_loads_no_runtime():
    slow = "{'onnxruntime', 'tokenizers', 'tensorflow', 'tf_keras', 'sklearn', 'matplotlib'}"
    code = f"import sys, bert_tf.serving; print({slow} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env=tiny.environment(), check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_in_an_environment_without_tensorflow(classifier_folder, tmp_path):
    """Needs the package index."""
    run = without_tensorflow(tmp_path)
    found = run("-c", CLASSIFY, classifier_folder, *TEXTS)
    assert found.strip() == expected(classifier_folder)
    run("-m", "pip", "install", "--quiet", "absl-py")  # of the command line
    lines = "".join(f"{text}\n" for text in TEXTS)
    found = run("-m", "bert_tf.serving", f"--model_dir={classifier_folder}", input=lines)
    assert len(found.splitlines()) == len(TEXTS)
    where = run("-c", "import bert_tf; print(bert_tf.__file__)").strip()
    assert pathlib.Path(where).is_relative_to(tmp_path / "venv")
