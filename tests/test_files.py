"""Small files and folders: written whole or not at all."""

import os
import pathlib

import pytest

from bert_tf import files
from bert_tf.errors import UserError


class Killed(BaseException):
    """Stands for the end of the process."""


def test_json_holds_no_number_that_is_not_finite(tmp_path):
    files.write_json(tmp_path / "results.json", {"loss": 0.5})
    with pytest.raises(UserError, match=r"results\.json: not written: a number .* not finite"):
        files.write_json(tmp_path / "results.json", {"loss": float("nan")})
    assert files.read_json(tmp_path / "results.json", "results") == {"loss": 0.5}


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def replace(folder, text):
    with files.new_folder(folder) as new:
        (new / "a.txt").write_text(text)


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "stale.txt").write_text("old")
    replace(folder, "new")
    assert contents(folder) == {"a.txt": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_fault_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "f"
    replace(folder, "old")
    with pytest.raises(UserError, match="f: cannot write: No space"), files.new_folder(folder):
        raise OSError(28, "No space left on device")
    assert contents(folder) == {"a.txt": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("rename", [1, 2])
def test_a_kill_between_two_renames_is_put_right(tmp_path, monkeypatch, rename):
    folder, calls, real = tmp_path / "f", [], pathlib.Path.rename
    replace(folder, "old")

    def killed(self, target):
        calls.append(target)
        if len(calls) == rename:
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(pathlib.Path, "rename", killed)
        replace(folder, "new")
    files.finish_replacing(folder)
    assert contents(folder) == {"a.txt": "old"}
    assert os.listdir(tmp_path) == ["f"]
