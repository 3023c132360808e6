"""Folders that change as a whole: what a failure or a kill at any moment leaves."""

import os
import subprocess
import sys
import tempfile

import pytest

from bert_tf import files, folders
from bert_tf.errors import UserError
from tests import tiny

OLD = {"a.json": "old a", "m.data": "old data", "m.index": "old index", "stale.txt": "old"}
NEW = {"a.json": "new a", "b.json": "new b", "m.data": "new data", "m.index": "new index"}
KILLED = """
import os, sys
from bert_tf import folders
calls = [int(sys.argv[3])]
def deadly(real):
    def call(*args, **kwargs):
        calls[0] -= 1
        if calls[0] < 0:
            os._exit(9)
        return real(*args, **kwargs)
    return call
for owner, name in ((os, "replace"), (os, "fsync"), (folders, "_exchange")):
    setattr(owner, name, deadly(getattr(owner, name)))
if sys.argv[4] == "no exchange":
    folders._exchange = lambda *_: False
kinds = {"replaced": folders.replaced, "updated": lambda p: folders.updated(p, ["stale.txt"])}
with kinds[sys.argv[1]](sys.argv[2]) as new:
    for name in ("a.json", "b.json", "m.data", "m.index"):
        (new / name).write_text("new " + name.removesuffix(".json").removeprefix("m."))
"""


def write(folder, values):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in values.items():
        (folder / name).write_text(text)
    return folder


def content(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}


def fail_at(monkeypatch, call):
    """From here on, the `call`-th call that changes the disk fails, once; returns what is left."""
    left = [call]

    def failing(real):
        def wrapper(*args, **kwargs):
            left[0] -= 1
            if left[0] == -1:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        return wrapper

    for owner, name in (
        (os, "replace"), (os, "fsync"), (os, "chmod"), (tempfile, "mkdtemp"),
        (tempfile, "mkstemp"), (folders, "_exchange"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    return left


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_replaced_folder_is_the_old_one_or_the_new_one(tmp_path, monkeypatch, exchanges):
    folder = write(tmp_path / "out", OLD)
    for call in range(100):
        with monkeypatch.context() as patch:
            if not exchanges:
                patch.setattr(folders, "_exchange", lambda *_: False)
            left = fail_at(patch, call)
            try:
                with folders.replaced(folder) as new:
                    for name, text in NEW.items():
                        files.write_text(new / name, text)
            except UserError as e:
                assert str(e).startswith(str(folder))  # not the hidden folder
                assert content(folder) == OLD
            assert os.listdir(tmp_path) == ["out"]
            if left[0] >= 0:
                break
    assert call > 8 and content(folder) == NEW


def test_an_updated_folder_keeps_what_is_not_the_models(tmp_path, monkeypatch):
    folder = write(tmp_path / "out", {**OLD, "state.json": "mine"})
    (folder / "checkpoints").mkdir()
    for call in range(100):
        with monkeypatch.context() as patch:
            left = fail_at(patch, call)
            try:
                with folders.updated(folder, ["stale.txt", "m.index", "absent"]) as new:
                    for name, text in NEW.items():
                        files.write_text(new / name, text)
            except UserError:
                assert content(folder) == {**OLD, "state.json": "mine"}
            assert not [p for p in folder.iterdir() if p.name.startswith(".")]
            if left[0] >= 0:
                break
    assert call > 10 and content(folder) == {**NEW, "state.json": "mine"}
    assert (folder / "checkpoints").is_dir()


@pytest.mark.parametrize("kind", ["replaced", "updated", "no exchange"])
def test_a_kill_leaves_no_mixture(tmp_path, kind):
    seen = set()
    for call in range(30):
        folder = write(tmp_path / str(call) / "out", OLD)
        arguments = ["updated" if kind == "updated" else "replaced", folder, str(call), kind]
        done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=tiny.environment())
        found = content(folder) if folder.exists() else {}
        if "m.index" in found:  # without it, nothing that a reader takes for a model
            assert found in (OLD, NEW)
        elif kind == "replaced":
            raise AssertionError("no model at all")
        elif kind == "no exchange":
            folders.tidy(folder)
            assert content(folder) == OLD and os.listdir(folder.parent) == ["out"]
        seen.add(found.get("m.index"))
        if done.returncode == 0:
            break
    assert done.returncode == 0 and {"old index", "new index"} <= seen


def test_a_link_stays_one_and_permissions_stay(tmp_path):
    folder = write(tmp_path / "real", OLD)
    folder.chmod(0o750)
    (tmp_path / "link").symlink_to("real")
    with folders.replaced(tmp_path / "link") as new:
        write(new, NEW)
    assert (tmp_path / "link").is_symlink() and content(folder) == NEW
    assert folder.stat().st_mode & 0o777 == 0o750
    with folders.replaced(tmp_path / "deep" / "new") as new:
        write(new, NEW)
    assert content(tmp_path / "deep" / "new") == NEW
    assert (tmp_path / "deep" / "new").stat().st_mode & 0o777 == 0o777 & ~files.umask()


@pytest.mark.parametrize("old", [{}, OLD])
def test_a_folder_that_cannot_be_renamed_is_filled(tmp_path, monkeypatch, old):
    folder = write(tmp_path / "mount", old)
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    inode = folder.stat().st_ino
    with folders.replaced(folder) as new:
        write(new, NEW)
    assert content(folder) == NEW and folder.stat().st_ino == inode
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_writer_that_gives_up_changes_nothing(tmp_path):
    folder = write(tmp_path / "out", OLD)
    with (
        pytest.raises(UserError, match=f"^{folder}/x.json: no good$"),
        folders.replaced(folder) as new,
    ):
        write(new, NEW)
        raise UserError(f"{new}/x.json: no good")
    with pytest.raises(KeyboardInterrupt), folders.replaced(folder) as new:
        write(new, NEW)
        raise KeyboardInterrupt
    assert content(folder) == OLD and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("given", ["m", "m/", "m/x.ckpt", "m/x.ckpt.index", "link", "links/x.ckpt"])
@pytest.mark.parametrize("output", ["m", "./m/../m", "link"])
def test_an_output_that_is_the_input(tmp_path, monkeypatch, given, output):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "m", {"x.ckpt.index": "", "x.ckpt.data": "", "vocab.txt": ""})
    (tmp_path / "link").symlink_to("m")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "x.ckpt.index").symlink_to("../m/x.ckpt.index")
    with pytest.raises(UserError, match=f"--out={output}: holds the model to start from"):
        files.refuse_same_folder("out", output, given)
    for free in ("new", "m/sub", "links2"):
        files.refuse_same_folder("out", free, given)
