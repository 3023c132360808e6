"""remove_mask.py as a user runs it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import remove_mask
from bert_tf import files, options
from bert_tf.checkpoints import names
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from tests import tiny


def run(**values):
    """Runs the program in this process; the caller's `capsys` has what it prints."""
    values = {name: str(v) if isinstance(v, pathlib.Path) else v for name, v in values.items()}
    remove_mask.main(remove_mask.Options(given=frozenset(values), **values))


def run_script(*flags):
    return subprocess.run(
        [sys.executable, str(tiny.ROOT / "remove_mask.py"), *flags],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def make_masked(folder, model, seed=0):
    """Writes a classifier with masks: the model's kernels factorised by SVD, random gates."""
    rng = np.random.default_rng(seed)
    arrays = dict(model.arrays)
    for scope in names.dense_scopes(model.config):
        u, s, v = np.linalg.svd(arrays.pop(f"{scope}/kernel"), full_matrices=False)
        arrays[f"{scope}_p/kernel"] = u
        arrays[f"{scope}_q/kernel"] = s[:, None] * v
        arrays[f"{scope}_q/bias"] = arrays.pop(f"{scope}/bias")
        arrays[f"{scope}_g/log_alpha"] = rng.normal(1, 3, len(s)).astype(np.float32)
    hidden = model.config.hidden_size
    arrays["output_weights"] = rng.normal(size=(2, hidden)).astype(np.float32)
    arrays["output_bias"] = np.zeros(2, np.float32)
    task = {"task_name": "sst-2", "labels": ["0", "1"], "max_seq_length": 32, "do_lower_case": True}
    return save_model_folder(folder, model.config, arrays, model.vocab_file, task)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masked")
    return make_masked(folder, load_model(tiny.make_model(folder, num_hidden_layers=2)))


def test_the_result_is_a_model_that_the_next_program_takes(masked, tmp_path):
    data, out = tiny.make_sst2(tmp_path / "data"), tmp_path / "out"
    done = run_script(f"--model_dir={masked}", f"--output_folder_dir={out}", f"--data_dir={data}")
    assert done.returncode == 0, done.stderr
    assert "layer_1/output/dense" in done.stdout and "12 kernels (" in done.stdout
    last = done.stdout.splitlines()[-2]
    assert "(dev rows): logits differ by at most" in last
    assert float(last.split("at most ")[1].split()[0]) < 1e-5
    assert "0.00% of the predictions change, on 20 examples" in last
    assert (out / "layers.txt").read_text() in done.stdout
    assert (out / "layers.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "info.txt").read_text().startswith("dense_total_params: 7168\n")
    for name in ("vocab.txt", "task.json"):
        assert (out / name).read_bytes() == (masked / name).read_bytes()
    origin = files.read_json(out / "origin.json", "origin")
    assert origin["command"].startswith(f"remove_mask.py --model_dir={masked} --data_dir=")
    assert origin["model"] == str(masked)
    keys = list(files.read_json(out / "bert_config.json", "configuration"))
    assert keys == sorted(keys)
    with tiny.eagerly():
        results = [
            tiny.run(do_eval=True, model_dir=folder, data_dir=data, output_dir=tmp_path / name)
            for folder, name in ((masked, "before"), (out, "after"))
        ]
    losses = [result["metrics"]["dev"]["loss"] for result in results]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert results[1]["parameters"]["total"] < results[0]["parameters"]["total"]


def test_a_target_from_the_originals_three_flags(masked, tmp_path, capsys):
    moved = tmp_path / "config.json"
    moved.write_bytes((masked / "bert_config.json").read_bytes())
    with tiny.eagerly():
        run(
            bert_config_file=moved,
            checkpoint=masked / "bert_model.ckpt",
            output_folder_dir=tmp_path / "out",
            target_sparsity=0.8,
            evaluation="hard",
            merge_dense=False,
        )
    assert "(random rows): logits differ by at most" in capsys.readouterr().out
    dense = 2 * (4 * 16 * 16 + 2 * 16 * 32)
    info = dict(line.split(": ") for line in (tmp_path / "out/info.txt").read_text().splitlines())
    assert 0.2 * dense - 48 < int(info["dense_pruned_params"]) <= 0.2 * dense


@pytest.mark.parametrize("share, warns", [(0.9, True), (None, False)])
def test_cutting_what_is_open_is_warned_of(masked, tmp_path, capsys, share, warns):
    run(model_dir=masked, output_folder_dir=tmp_path / "out", target_sparsity=share)
    assert ("that the masks had left open" in capsys.readouterr().out) == warns


def test_all_gates_closed_works_end_to_end(masked, tmp_path, capsys):
    out = tmp_path / "out"
    run(model_dir=masked, output_folder_dir=out, target_sparsity=1.0)
    assert "12 kernels (12 bias only): 0 parameters" in capsys.readouterr().out
    data = tiny.make_sst2(tmp_path / "data")
    result = tiny.run(do_eval=True, model_dir=out, data_dir=data, output_dir=tmp_path / "eval")
    assert np.isfinite(result["metrics"]["dev"]["loss"])


def test_an_error_is_one_line(masked, tmp_path):
    out = tmp_path / "out"
    done = run_script(f"--model_dir={masked}", f"--output_folder_dir={out}", "--threshold=-0.5")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr == "error: --threshold=-0.5: expected a number in [0, 1]\n"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "--output_folder_dir is required"),
        (
            {"output_folder_dir": "{o}"},
            "give one of --model_dir and --checkpoint: the masked model",
        ),
        ({"output_folder_dir": "{o}", "model_dir": "m", "checkpoint": "m"}, "give one of"),
        ({"output_folder_dir": "{m}/.", "model_dir": "{m}"}, "holds the model to start from"),
        ({"output_folder_dir": "{m}", "checkpoint": "{m}/bert_model.ckpt"}, "name another folder"),
        ({"threshold": 0.0, "target_sparsity": 0.5}, "exclude each other"),
        ({"sparsity_base": "factorized"}, "--sparsity_base has no effect without"),
        ({"sparsity_base": "factorized", "target_sparsity": 0.05}, "already: expected that or"),
        ({"data_dir": "nowhere"}, "--data_dir=nowhere: no such folder"),
        ({"model_dir": "{g}"}, r"\(Google checkpoint\): has no masks"),
        ({"model_dir": "{g}", "data_dir": "x"}, "records no task"),
    ],
)
def test_bad_input_writes_nothing(masked, tmp_path, values, message):
    places = {"m": masked, "o": tmp_path / "o", "g": tiny.ROOT / "tests/fixtures/google_bert"}
    if values and "output_folder_dir" not in values:
        values = {"output_folder_dir": "{o}", "model_dir": "{m}", **values}
    values = {k: v.format(**places) if isinstance(v, str) else v for k, v in values.items()}
    with pytest.raises(UserError, match=message):
        run(**values)
    assert not (tmp_path / "o").exists()


def test_help_describes_every_flag():
    text = options.help_page(remove_mask.Options, "remove_mask.py", remove_mask.__doc__)
    for flag in ("checkpoint", "threshold", "target_sparsity", "merge_dense", "evaluation"):
        assert f"\n  --{flag}=" in text


@pytest.mark.slow
@pytest.mark.skipif(
    not {"BERT_TF_MODEL", "BERT_TF_DATA"} <= set(os.environ),
    reason="BERT_TF_MODEL and BERT_TF_DATA do not name a model folder and the data folder",
)
@pytest.mark.parametrize("merge_dense", [True, False])
@pytest.mark.parametrize("evaluation", ["clipped", "hard"])
def test_compact_is_masked_on_real_rows(tmp_path, capsys, evaluation, merge_dense):
    masked = make_masked(tmp_path / "masked", load_model(os.environ["BERT_TF_MODEL"]))
    run(
        model_dir=masked,
        output_folder_dir=tmp_path / "out",
        data_dir=pathlib.Path(os.environ["BERT_TF_DATA"]) / "glue_data" / "SST-2",
        evaluation=evaluation,
        merge_dense=merge_dense,
    )
    line = capsys.readouterr().out.splitlines()[-2]
    assert "on 872 examples" in line
    assert float(line.split("at most ")[1].split()[0]) < 1e-4
