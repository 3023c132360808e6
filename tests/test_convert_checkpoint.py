"""convert_checkpoint.py as a user runs it."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from bert_tf.checkpoints import google, huggingface, model_folder
from tests import needs

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOOGLE = ROOT / "tests" / "fixtures" / "google_bert"


def convert(*flags):
    command = [sys.executable, str(ROOT / "convert_checkpoint.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_google_to_hugging_face_with_the_vocabulary(tmp_path):
    vocab = tmp_path / "v.txt"
    vocab.write_text("[PAD]\n")
    done = convert(
        f"--input={GOOGLE}",
        f"--output={tmp_path / 'hf'}",
        "--output_format=huggingface",
        f"--vocab_file={vocab}",
    )
    assert done.returncode == 0, done.stderr
    table = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "converted bert/encoder/layer_{0..2}/output/dense/{bias,kernel} 6 variables" in table
    assert "total: 64 converted, 0 left, 0 at initialisation" in table
    _, arrays, _ = huggingface.read(tmp_path / "hf")
    expected = google.read_checkpoint(GOOGLE)
    assert {n: a.tobytes() for n, a in arrays.items()} == {
        n: a.tobytes() for n, a in expected.items()
    }
    assert (tmp_path / "hf" / "vocab.txt").read_text() == "[PAD]\n"


def test_a_damaged_input_writes_nothing(tmp_path):
    folder = tmp_path / "google"
    shutil.copytree(GOOGLE, folder)
    data = folder / "bert_model.ckpt.data-00000-of-00001"
    data.chmod(0o644)
    data.write_bytes(data.read_bytes()[:1000])
    done = convert(f"--input={folder}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {folder}/bert_model.ckpt.data-*: ") and "truncated" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output=x"], "error: --input is required"),
        ([f"--input={GOOGLE}"], "error: --output is required"),
        ([f"--input={GOOGLE}", f"--output={GOOGLE}/."], "holds the model to start from"),
        (["--input=x", "--output=y", "--output_format=onnx"], "--output_format"),
    ],
)
def test_wrong_flags(flags, message):
    done = convert(*flags)
    assert done.returncode == 1 and message in done.stderr


def test_help_describes_every_flag():
    done = convert("--help")
    assert done.returncode == 0
    for flag in ("--input", "--output", "--output_format", "--bert_config_file", "--vocab_file"):
        assert flag in done.stdout


@pytest.mark.parametrize("output_format", needs.each_of(["google", "tf_models"]))
def test_every_format_is_a_folder_that_loads(tmp_path, output_format):
    from bert_tf.checkpoints.convert import convert

    model = model_folder.load_model(GOOGLE)
    report = convert(model, tmp_path / "out", output_format)
    assert len(report.loaded) == 64 and not report.left
    again = model_folder.load_model(tmp_path / "out")
    assert again.config == model.config and set(again.arrays) == set(model.arrays)
