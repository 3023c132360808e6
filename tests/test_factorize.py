"""factorize.py as a user runs it."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import factorize
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.encoder.kernels import factorized_ranks
from bert_tf.errors import UserError
from bert_tf.pruning import calibration, comparison
from tests import tiny

SCORES = "mask_scores.npz"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{name: path}: a pretrained model, one fine-tuned on SST-2, SST-2 itself, and plain text."""
    root = tmp_path_factory.mktemp("files")
    found = {
        "pretrained": tiny.make_model(root / "pretrained", num_hidden_layers=2),
        "data": tiny.make_sst2(root / "data", train=60),
        "tuned": root / "tuned",
        "text": root / "text.txt",
    }
    found["text"].write_text("\n".join(tiny.sentences(30)[0]) + "\n\n", encoding="utf-8")
    with tiny.eagerly():
        tiny.run(
            do_train=True, task_name="sst-2", model_dir=found["pretrained"], max_seq_length=16,
            data_dir=found["data"], output_dir=found["tuned"], num_train_epochs=1.0,
            feature_dir=root / "features",
        )  # fmt: skip
    return found


@pytest.fixture(autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


def call(**values):
    """Runs the program in this process."""
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    factorize.main(factorize.Options(given=frozenset(values), **values))


def script(*flags):
    return subprocess.run(
        [sys.executable, str(tiny.ROOT / "factorize.py"), *flags],
        env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_from_the_command_line_to_an_evaluated_compact_model(files, tmp_path):
    done = script(
        f"--model_dir={files['tuned']}",
        f"--data_dir={files['data']}",
        f"--output_dir={tmp_path / 'half'}",
        "--target_sparsity=0.5",
    )
    assert done.returncode == 0, done.stderr
    table = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any("query_p/kernel and query_q/kernel" in line for line in table)
    assert any(line.startswith("taken bert/embeddings/") for line in table)
    assert "predicted rise of the loss" in table[-1]
    origin = json.loads((tmp_path / "half" / "origin.json").read_text())
    assert origin["command"].startswith("factorize.py --model_dir=")
    assert "--target_sparsity=0.5" in origin["command"] and origin["environment"]["cores"]
    assert origin["model"] == str(files["tuned"])
    half = load_model(tmp_path / "half")
    assert half.config.pruned_layers_dim
    assert half.task == load_model(files["tuned"]).task and half.vocab_file
    with np.load(tmp_path / "half" / SCORES) as scores:
        sizes = {scope: len(scores[scope]) for scope in scores.files}
    assert sizes == factorized_ranks(half.config)
    results = tiny.run(
        do_eval=True,
        model_dir=tmp_path / "half",
        data_dir=files["data"],
        output_dir=tmp_path / "eval",
    )
    assert 0 <= results["metrics"]["dev"]["accuracy"] <= 1


def test_the_originals_flags(files, tmp_path, capsys):
    """A checkpoint prefix, a configuration, and an output that is a checkpoint prefix."""
    call(
        bert_config_file=files["tuned"] / "bert_config.json",
        checkpoint=files["tuned"] / "bert_model.ckpt",
        output_dir=tmp_path / "f" / "bert_model_f.ckpt",
        finetuned=True,
        svd="full",
    )
    assert (tmp_path / "f" / "bert_model_f.ckpt.index").is_file()
    assert not (tmp_path / "f" / "bert_model.ckpt.index").exists()
    found = load_model(tmp_path / "f")
    assert not found.config.pruned_layers_dim and found.vocab_file
    wide = found.arrays["bert/encoder/layer_0/output/dense_p/kernel"]
    assert wide.shape == (32, 32) and "output_weights" in found.arrays
    out = " ".join(capsys.readouterr().out.split())
    assert "layer_{0,1}/output/dense/kernel 2 variables (now dense_p/kernel and dense_q" in out


def test_the_classifier_is_left_unless_it_is_wanted(files, tmp_path, capsys):
    call(model_dir=files["tuned"], output_dir=tmp_path / "yes")
    assert "output_weights" in load_model(tmp_path / "yes").arrays
    capsys.readouterr()
    call(model_dir=files["tuned"], output_dir=tmp_path / "no", finetuned=False)
    found = load_model(tmp_path / "no")
    assert "output_weights" not in found.arrays and found.task is None
    assert "not kept without --finetuned" in capsys.readouterr().out


def test_without_a_target_nothing_is_lost_whatever_the_components(files, tmp_path):
    call(model_dir=files["tuned"], output_dir=tmp_path / "plain")
    call(model_dir=files["tuned"], output_dir=tmp_path / "aware", data_dir=files["data"])
    dense = load_model(files["tuned"]).arrays
    plain, aware = (load_model(tmp_path / name).arrays for name in ("plain", "aware"))
    scope = "bert/encoder/layer_0/output/dense"
    assert not np.allclose(plain[f"{scope}_p/kernel"], aware[f"{scope}_p/kernel"], atol=1e-3)
    for arrays in (plain, aware):
        product = arrays[f"{scope}_p/kernel"] @ arrays[f"{scope}_q/kernel"]
        np.testing.assert_allclose(product, dense[f"{scope}/kernel"], atol=1e-5)
    scores = np.load(tmp_path / "aware" / SCORES)[scope]
    assert scores.shape == (16,) and scores[:4].sum() > scores[-4:].sum()


def test_plain_text_serves_a_pretrained_model(files, tmp_path):
    flags = {"model_dir": files["pretrained"], "target_sparsity": 0.5}
    call(**flags, output_dir=tmp_path / "text", text_file=files["text"], calibration_examples=20)
    call(**flags, output_dir=tmp_path / "svd")
    text, plain = load_model(tmp_path / "text"), load_model(tmp_path / "svd")
    assert text.config.pruned_layers_dim == plain.config.pruned_layers_dim  # uniform, both
    name = "bert/encoder/layer_0/output/dense_q/bias"
    assert np.array_equal(plain.arrays[name], np.zeros(16))
    assert np.any(text.arrays[name])  # takes the mean over


@pytest.mark.parametrize("method", ["fisher", "whitened", "two_sided"])
@pytest.mark.parametrize("cost", ["parameters", "flops", "latency"])
def test_every_method_and_cost(files, tmp_path, method, cost):
    call(
        model_dir=files["tuned"], data_dir=files["data"], output_dir=tmp_path / "out",
        target_sparsity=0.5, method=method, cost=cost, rank_sharing="global",
    )  # fmt: skip
    found = load_model(tmp_path / "out")
    assert found.config.pruned_layers_dim
    assert all(np.isfinite(array).all() for array in found.arrays.values())


def test_a_custom_tasks_rows(files, tmp_path):
    rows = zip(*tiny.sentences(30), strict=True)
    train = tiny.write_rows(tmp_path / "rows.tsv", [("text", "label"), *rows])
    flags = {
        "task_name": "custom", "train_file": train, "text_column": "text", "label_column": "label",
    }  # fmt: skip
    with pytest.raises(UserError, match="classifier is for task sst-2 with 2 outputs"):
        call(model_dir=files["tuned"], output_dir=tmp_path / "a", target_sparsity=0.5, **flags)
    call(
        model_dir=files["tuned"], output_dir=tmp_path / "b", target_sparsity=0.5,
        method="whitened", **flags,
    )  # fmt: skip
    assert load_model(tmp_path / "b").config.pruned_layers_dim


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"output_dir": None}, "--output_dir is required"),
        ({"model_dir": None}, "one of --model_dir and --checkpoint"),
        ({"target_sparsity": 1.0}, r"--target_sparsity=1.0: expected a number in \[0, 1\)"),
        ({"target_sparsity": -0.5}, "--target_sparsity=-0.5"),
        ({"rank_multiple": 0, "target_sparsity": 0.5}, "--rank_multiple=0: expected 1 or more"),
        ({"method": "two_sided"}, "--method=two_sided needs data: give --data_dir"),
        ({"method": "whitened"}, "or --text_file"),
        ({"text_file": "t", "method": "two_sided"}, "needs labels, which --text_file has not"),
        ({"text_file": "t", "data_dir": "d"}, "--data_dir has no effect with --text_file"),
        ({"data_dir": "d", "method": "svd"}, "--method=svd takes no data"),
        ({"task_name": "sst-2"}, "--task_name has no effect without --dataset, --data_dir or"),
        ({"cost": "flops"}, "--cost has no effect without --target_sparsity"),
        ({"svd": "full", "target_sparsity": 0.5}, "--svd has no effect with --target_sparsity"),
        ({"svd": "full", "data_dir": "."}, "--svd=full has no effect with --method=two_sided"),
        ({"max_seq_length": 64}, "--max_seq_length has no effect"),
        ({"data_dir": "no/such"}, "no/such"),
        ({"text_file": "no/such"}, "--text_file=no/such: cannot be read"),
    ],
)
def test_wrong_flags_write_nothing(files, tmp_path, flags, message):
    flags = {"model_dir": files["tuned"], "output_dir": tmp_path / "out", **flags}
    with pytest.raises(UserError, match=message):
        call(**{name: value for name, value in flags.items() if value is not None})
    assert not list(tmp_path.rglob("*.index"))


def test_models_that_do_not_fit(files, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="has no classifier, whose gradients --method=two_sided"):
        call(model_dir=files["pretrained"], output_dir=out, data_dir=files["data"],
             task_name="sst-2")  # fmt: skip
    with pytest.raises(UserError, match=r"no classifier \(output_weights\) for --finetuned"):
        call(model_dir=files["pretrained"], output_dir=out, finetuned=True)
    with pytest.raises(UserError, match="holds the model to start from"):
        call(model_dir=files["tuned"], output_dir=files["tuned"] / "x.ckpt")
    assert not list(tmp_path.rglob("*.index"))
    call(model_dir=files["tuned"], output_dir=out)
    with pytest.raises(UserError, match="is factorised already"):
        call(model_dir=out, output_dir=tmp_path / "again")


def test_text_that_is_no_text(files, tmp_path):
    flags = {"model_dir": files["pretrained"], "output_dir": tmp_path / "out"}
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"a film\nthe \xff story\n")
    with pytest.raises(UserError, match=r"bad.txt: line 2 is not UTF-8 text .* at byte 5"):
        call(**flags, text_file=bad)
    bad.write_bytes(b"\n \n")
    with pytest.raises(UserError, match="holds no text"):
        call(**flags, text_file=bad)


def test_passages_of_json_lines_are_their_texts(tmp_path):
    path = tmp_path / "wiki_00"
    path.write_text('{"id": "1", "text": "a film\\nthe story"}\n{"text": "so"}\n')
    drawn = calibration._draw_passages(path, 10, 1)
    assert sorted(drawn) == ["a film", "so", "the story"]


def test_help_describes_every_flag():
    done = script("--help")
    assert done.returncode == 0
    for field in dataclasses.fields(factorize.Options):
        assert field.name == "given" or f"--{field.name}=" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not {"BERT_TF_TUNED", "BERT_TF_DATA"} <= set(os.environ),
    reason="BERT_TF_TUNED and BERT_TF_DATA do not name a model fine-tuned on SST-2 and the data",
)
@pytest.mark.parametrize("svd, method", [("thin", "svd"), ("full", "svd"), ("thin", "two_sided")])
def test_factorised_is_dense_on_real_rows(tmp_path, svd, method):
    dense = load_model(os.environ["BERT_TF_TUNED"])
    data = pathlib.Path(os.environ["BERT_TF_DATA"]) / "glue_data" / "SST-2"
    flags = {"data_dir": data} if method == "two_sided" else {"svd": svd}
    call(model_dir=os.environ["BERT_TF_TUNED"], output_dir=tmp_path / "out", **flags)
    out = load_model(tmp_path / "out")
    found = comparison.compare(
        (dense.config, dense.arrays), (out.config, out.arrays), comparison.dev_store(dense, data)
    )
    print(f"{svd} {method}: {found.text()}")
    assert found.what == "logits" and found.examples == 872
    assert found.largest < 1e-4
