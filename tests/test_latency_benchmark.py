"""benchmarks.latency runs on model folders and says what they weigh and take."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.latency.artefact import Artefact
from benchmarks.latency.worker import Model, Setup
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from tests import tiny
from tests.export import models

SCOPE = "bert/encoder/layer_0/intermediate/dense"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny dense model, and one with a kernel of rank 2."""
    folder = tmp_path_factory.mktemp("models")
    dense = load_model(tiny.make_model(folder / "dense", num_hidden_layers=2))
    arrays = dict(dense.arrays)
    kernel = arrays.pop(f"{SCOPE}/kernel")
    arrays[f"{SCOPE}_p/kernel"] = kernel[:, :2]
    arrays[f"{SCOPE}_q/kernel"] = np.ones([2, kernel.shape[1]], np.float32)
    arrays[f"{SCOPE}_q/bias"] = arrays.pop(f"{SCOPE}/bias")
    config = dense.config.replace(pruned_layers_dim={f"{SCOPE}_p/kernel": 2})
    save_model_folder(folder / "compact", config, arrays)
    return folder


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks.latency", "--rounds=2", "--turn_seconds=0"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_compares_folders(folders, tmp_path):
    done = run(
        f"--models=dense={folders / 'dense'},small={folders / 'compact'}",
        "--batches=2",
        "--lengths=4,8",
        f"--json={tmp_path / 'all.json'}",
        f"--png={tmp_path / 'all.png'}",
    )
    assert done.returncode == 0, done.stderr
    assert "| 2 x 8 | small |" in done.stdout
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads((tmp_path / "all.json").read_text("utf-8"))
    dense, small = result["models"]["dense"], result["models"]["small"]
    hidden, wide = tiny.SHAPE["hidden_size"], tiny.SHAPE["intermediate_size"]
    saved = hidden * wide - 2 * (hidden + wide)
    for key in ("parameters", "kernel_parameters"):
        assert dense[key] - small[key] == saved
    for length in (4, 8):  # a kernel of the first layer, which sees every token
        assert dense["flops"][str(length)] - small["flops"][str(length)] == 2 * saved * length
    last = 2 * hidden * hidden + 2 * hidden * wide  # its kernels that see the first token only
    all_tokens = dense["kernel_parameters"] - last
    assert dense["flops"]["4"] == 2 * (4 * all_tokens + last)
    figures = result["latency"]["2x4"]
    assert figures["dense"]["ratio"] == [1, 1, 1]
    assert 0 < figures["small"]["p50"] <= figures["small"]["p95"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--models=dense"], "--models: expected NAME=FOLDER, found 'dense'"),
        (["--models=a=x,a=y"], "the name 'a' comes twice"),
        (["--models=a=x", "--batches=0"], "--batches: expected integers of 1 or more, found '0'"),
        (
            ["--models=a=x", "--precision=bfloat16", "--runtime=tensorflow,litert"],
            "--precision=bfloat16: is for --runtime=tensorflow, without effect on litert",
        ),
        (
            ["--models=a=x", "--xla", "--runtime=savedmodel"],
            "--xla: is for --runtime=tensorflow, without effect on savedmodel",
        ),
    ],
)
def test_bad_flags(flags, said):
    done = run(*flags)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and said in done.stderr


def test_too_long_sequences_are_an_error(folders):
    done = run(f"--models=dense={folders / 'dense'}", "--lengths=100000")
    assert done.returncode == 1
    assert "error: dense: --lengths: the model takes" in done.stderr


def test_every_runtime_runs_every_model(folders):
    pytest.importorskip("onnxruntime")
    done = run(
        f"--models=dense={folders / 'dense'},small={folders / 'compact'}",
        "--runtime=tensorflow,onnxruntime,onnxruntime-int8",
        "--batches=2",
        "--lengths=4",
        "--threads=1",
    )
    assert done.returncode == 0, done.stderr
    names = [f"{x} {y}" for y in ("onnxruntime", "onnxruntime-int8") for x in ("dense", "small")]
    for name in ["dense tensorflow", "small tensorflow", *names]:
        assert f"| 2 x 4 | {name} |" in done.stdout
    sizes = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if "|" in line}
    assert "MB (100%)" in sizes["dense tensorflow"].rsplit("|", 2)[1]
    assert not sizes["dense onnxruntime"].rsplit("|", 2)[1].strip()  # of the export, too


def save(folder, **changes):
    one = models.make(**changes)
    task = one.model.task if "output_bias" in one.arrays else None
    return save_model_folder(folder, one.config, one.arrays, task=task)


@pytest.mark.parametrize("kind", models.HEADS)
def test_runtimes_compute_the_same(tmp_path, kind, monkeypatch):
    pytest.importorskip("onnxruntime")
    for pool in ("intra", "inter"):  # this process has computed before: its pools are made
        name = f"tensorflow.config.threading.set_{pool}_op_parallelism_threads"
        monkeypatch.setattr(name, lambda threads: None)
    folder, case = save(tmp_path / "model", head=kind), (2, 4)
    setup = Setup((case,), "float32", 0, False, 42)
    both = Model(setup, folder), Artefact(setup, folder, "onnxruntime")
    assert both[0].description["outputs"] == both[1].description["outputs"]
    np.testing.assert_allclose(*(one.calls[case]() for one in both), atol=1e-4)


def test_first_tokens_are_tensorflows_alone(tmp_path):
    folder = save(tmp_path / "model", head="encoder", pooler=False)
    with pytest.raises(UserError, match="neither classifier nor pooler: only --runtime=tensorflow"):
        Artefact(Setup(((2, 4),), "float32", 0, False, 42), folder, "onnxruntime")


@pytest.mark.parametrize("runtime", ["onnx", "tensorflow-int8", "tensorflow,"])
def test_an_unknown_runtime_is_named(folders, runtime):
    done = run(f"--models=dense={folders / 'dense'}", f"--runtime={runtime}")
    assert done.returncode == 1
    assert "error: --runtime: expected a list out of tensorflow" in done.stderr
