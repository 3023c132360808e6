"""export_model.py as a user runs it."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bert_tf import files
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.export import onnx_model
from bert_tf.export.options import ExportOptions
from bert_tf.export.program import export
from bert_tf.serving import Classifier
from tests import tiny

pytest.importorskip("onnxruntime")
TASK = {"task_name": "sst-2", "max_seq_length": 16, "do_lower_case": True}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_sst2(tmp_path_factory.mktemp("data") / "sst2")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    return tiny.make_classifier(folder, ["0", "1"], TASK, num_hidden_layers=2)


def call(**values):
    """Runs the program in this process; returns {format: content of its export.json}."""
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    found = export(ExportOptions(given=frozenset(values), **values))
    return {x.format: json.loads((x.folder / "export.json").read_text("utf-8")) for x in found}


def dev_rows(data):
    lines = (data / "dev.tsv").read_text("utf-8").splitlines()[1:]
    return [line.split("\t") for line in lines]


def test_from_the_command_line_to_the_probabilities_of_the_model(model, data, tmp_path):
    done = subprocess.run(
        [
            sys.executable, str(tiny.ROOT / "export_model.py"), f"--model_dir={model}",
            f"--data_dir={data}", f"--output_dir={tmp_path / 'onnx'}",
        ],
        env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "onnx: " in done.stdout and "20 dev rows" in done.stdout
    predicted = tmp_path / "predicted"
    tiny.run(do_predict=True, model_dir=model, data_dir=data, output_dir=predicted)
    rows = (predicted / "test_results.tsv").read_text("utf-8").splitlines()
    expected = np.array([row.split("\t") for row in rows], np.float64)
    texts = [
        line.split("\t")[1] for line in (data / "test.tsv").read_text("utf-8").splitlines()[1:]
    ]
    found = [list(x.probabilities.values()) for x in Classifier(tmp_path / "onnx")(texts)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_description_says_what_it_is_and_what_was_found(model, data, tmp_path):
    about = call(model_dir=model, data_dir=data, output_dir=tmp_path)["onnx"]
    assert about["kind"] == "classification" and about["labels"] == ["0", "1"]
    assert (about["max_seq_length"], about["truncation"], about["pairs"]) == (16, "head", False)
    assert about["check"]["rows"] == 20 and about["check"]["max_difference"] < 1e-4
    assert about["check"]["before"] == about["check"]["after"]
    assert set(about["files"]) == {"model.onnx", "tokenizer.json", "vocab.txt", "README.md"}
    [(split, rows)] = about["checked_on"]["splits"].items()
    assert (about["checked_on"]["task"], split, rows["rows"]) == ("sst-2", "dev", 20)
    assert about["opset"] == 20 and about["packages"]["onnxruntime"]
    assert "Classifier" in (tmp_path / "README.md").read_text("utf-8")
    other = load_model(model)
    other.arrays["output_bias"] += 1
    save_model_folder(tmp_path / "other", other.config, other.arrays, other.vocab_file, other.task)
    again = call(model_dir=tmp_path / "other", output_dir=tmp_path / "again")["onnx"]
    assert again["weights"] != about["weights"]
    assert again["check"]["random"]


def test_several_formats_each_have_a_folder(model, data, tmp_path):
    about = call(
        model_dir=model, data_dir=data, output_dir=tmp_path, format="onnx,savedmodel,huggingface"
    )
    assert set(about) == {"onnx", "savedmodel", "huggingface"}
    assert {x.name for x in tmp_path.iterdir()} == set(about)
    assert len({x["weights"] for x in about.values()}) == 1


@pytest.mark.parametrize("flags", [{}, {"lengths": "4,8"}])
def test_litert_in_int8_and_at_fixed_lengths(model, data, tmp_path, flags):
    pytest.importorskip("ai_edge_litert")
    about = call(
        model_dir=model, data_dir=data, output_dir=tmp_path, format="litert", precision="int8",
        max_metric_loss=100.0, **flags,
    )["litert"]  # fmt: skip
    assert about["max_seq_length"] == (8 if flags else 16)
    assert 0 < about["check"]["max_difference"] < 1
    assert ("length_8" in (tmp_path / "README.md").read_text("utf-8")) == bool(flags)


@pytest.mark.parametrize(
    ("name", "flags"),
    [("onnx", {}), ("openvino", {}), ("litert", {}), ("litert", {"lengths": "8,20"}),
     ("savedmodel", {})],
    ids=["onnx", "openvino", "litert", "litert of fixed lengths", "savedmodel"],
)  # fmt: skip
def test_the_lines_of_its_readme_run(model, tmp_path, monkeypatch, name, flags):
    pytest.importorskip({"litert": "ai_edge_litert", "savedmodel": "numpy"}.get(name, name))
    call(model_dir=model, output_dir=tmp_path / "onnx")
    wanted = Classifier(tmp_path / "onnx").logits(["a very good film " * 20])
    call(model_dir=model, output_dir=tmp_path / "out", format=name, **flags)
    monkeypatch.chdir(tmp_path / "out")
    text = pathlib.Path("README.md").read_text("utf-8")
    lines = text.split("```python")[1].split("```")[0].replace("path/of/this/folder", ".")
    shown = []
    exec(lines.replace('"a text"', '"a very good film " * 20'), {"print": shown.append})
    [found] = shown
    if name == "onnx":
        found = [[found[0].probabilities[x] for x in "01"]]
        wanted = np.exp(wanted) / np.exp(wanted).sum()
    elif name == "savedmodel":
        found = found["logits"][:1]
    np.testing.assert_allclose(np.asarray(found), wanted, atol=1e-4)


def test_an_earlier_export_is_replaced_and_other_files_are_not(model, tmp_path):
    call(model_dir=model, output_dir=tmp_path / "out")
    call(model_dir=model, output_dir=tmp_path / "out", embedding_precision="int8")
    assert sorted(x.name for x in (tmp_path / "out").iterdir()) == [
        "README.md", "export.json", "model.onnx", "tokenizer.json", "vocab.txt",
    ]  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt, which is not of an earlier export"):
        call(model_dir=model, output_dir=tmp_path / "mine")
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt, which is not of an earlier export"):
        call(model_dir=model, output_dir=tmp_path / "out")
    with pytest.raises(UserError, match="holds the model to start from"):
        call(model_dir=model, output_dir=model)


def test_one_export_never_hides_another(model, tmp_path):
    both = {"model_dir": model, "format": "onnx,huggingface"}
    call(model_dir=model, output_dir=tmp_path / "one")
    with pytest.raises(UserError, match="holds an export, beside which several would be taken"):
        call(**both, output_dir=tmp_path / "one")
    call(**both, output_dir=tmp_path / "two")
    with pytest.raises(UserError, match="which is not of an earlier export"):
        call(model_dir=model, output_dir=tmp_path / "two")
    with pytest.raises(UserError, match="holds the model to start from"):
        call(**{**both, "model_dir": tmp_path / "two/huggingface"}, output_dir=tmp_path / "two")
    (tmp_path / "two/.onnx.killed").mkdir()
    call(**both, output_dir=tmp_path / "two")
    assert {x.name for x in (tmp_path / "two").iterdir()} == {"onnx", "huggingface"}


def test_the_case_of_the_flag_is_that_of_the_tokenizer(data, tmp_path):
    folder = tmp_path / "m"
    task = {key: value for key, value in TASK.items() if key != "do_lower_case"}
    tiny.make_classifier(folder, ["0", "1"], task)
    rows = [("sentence", "label"), ("A VERY Good Film", "1"), ("dull", "0")]
    upper = tiny.write_rows(tmp_path / "upper/dev.tsv", rows).parent
    ids = {}
    for case in (True, False):
        out = tmp_path / str(case)
        about = call(model_dir=folder, data_dir=upper, output_dir=out, do_lower_case=case)["onnx"]
        assert about["tokenizer"]["do_lower_case"] is case
        ids[case] = Classifier(out).logits(["A VERY Good Film", "a very good film"])
    assert np.array_equal(ids[True][0], ids[True][1])
    assert not np.array_equal(ids[False][0], ids[False][1])


def test_a_model_that_is_not_finite_is_not_exported(model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bert_tf.export.program.model_runner",
        lambda _: lambda inputs: {"logits": np.full([len(inputs["input_ids"]), 2], np.nan)},
    )
    with pytest.raises(UserError, match="its logits are not finite: it cannot be exported"):
        call(model_dir=model, output_dir=tmp_path)


@pytest.fixture
def fragile(model, data, tmp_path):
    """(model folder, data folder): the model is always right, and int8 makes it say one thing."""
    loaded = load_model(model)
    for name in ("gamma", "beta"):
        loaded.arrays[f"bert/encoder/layer_1/output/LayerNorm/{name}"][0] = 0
    # Beside a row that is multiplied by zeros the others round to nothing.
    loaded.arrays["bert/pooler/dense/kernel"][0] = 1e5
    texts, margins = [text for text, _ in dev_rows(data)], np.zeros(1)
    for export_to in ("uncentred", "exact"):
        loaded.arrays["output_bias"][0] += np.median(margins)
        folder = save_model_folder(
            tmp_path / "fragile", loaded.config, loaded.arrays, loaded.vocab_file, loaded.task
        )
        call(model_dir=folder, output_dir=tmp_path / export_to)
        margins = np.diff(Classifier(tmp_path / export_to).logits(texts))
    labels = ["1" if margin > 0 else "0" for margin in margins]
    rows = [("sentence", "label"), *zip(texts, labels, strict=True)]
    return folder, tiny.write_rows(tmp_path / "own/dev.tsv", rows).parent


def test_int8_that_costs_points_is_refused_and_the_kernel_named(fragile, tmp_path):
    folder, own = fragile
    flags = {"model_dir": folder, "data_dir": own, "precision": "int8"}
    bad = "bert/pooler/dense"
    with pytest.raises(UserError, match=r"points of accuracy \(1\.0000 -> 0\.\d+\)") as refused:
        call(**flags, output_dir=tmp_path / "out")
    assert f"the largest errors are in {bad}," in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(UserError, match="on random tokens its outputs are wrong by"):
        call(model_dir=folder, precision="int8", output_dir=tmp_path / "out")
    about = call(**flags, keep=bad, max_metric_loss=10.0, output_dir=tmp_path / "out")["onnx"]
    assert about["check"]["after"] > 0.89 and about["check"]["alone"] > 0.89
    assert about["keep"] == [bad]


def test_float32_that_computes_something_else_is_refused(model, tmp_path, monkeypatch):
    real = onnx_model.graph_of

    def wrong(source, *args):
        source.arrays["output_bias"][0] += 0.01
        return real(source, *args)

    monkeypatch.setattr(onnx_model, "graph_of", wrong)
    with pytest.raises(UserError, match=r"differ from the model's by up to 0\.01"):
        call(model_dir=model, output_dir=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_fills_up_leaves_the_export_before(model, tmp_path, monkeypatch):
    call(model_dir=model, output_dir=tmp_path)
    before = {x.name: x.read_bytes() for x in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(UserError, match=f"{tmp_path}: cannot write: No space left on device"):
        call(model_dir=model, output_dir=tmp_path)
    assert {x.name: x.read_bytes() for x in tmp_path.iterdir()} == before


def test_a_runtime_that_is_not_installed_is_named_with_its_extra(model, tmp_path, monkeypatch):
    for name in ("onnx", "onnxruntime", "openvino", "ai_edge_litert", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it is an error
    for name, extra in {"onnx": "onnx", "openvino": "openvino", "litert": "litert"}.items():
        with pytest.raises(UserError, match=rf"--format={name} needs .*bert-tf\[{extra}\]"):
            call(model_dir=model, output_dir=tmp_path / "out", format=name)
    call(model_dir=model, output_dir=tmp_path / "out", format="savedmodel")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"format": "onnx,tflite"}, "--format=onnx,tflite: expected a list out of savedmodel"),
        ({"opset": 99}, "--opset=99: expected 17 to 22"),
        ({"opset": 20, "format": "litert"}, "opset has no effect without --format=onnx"),
        ({"precision": "float16"}, "--precision=float16: onnx is written in float32 or int8"),
        ({"precision": "int8", "format": "savedmodel"}, "savedmodel is written in float32"),
        ({"precision": "int8", "keep": "bert/x"}, "the model has no kernel bert/x, expected such"),
        ({"precision": "int8", "keep": ","}, "--keep=,: expected a list of beginnings"),
        ({"max_seq_length": 64}, "--max_seq_length=64: the model takes 32 tokens at most"),
        ({"keep": "bert/encoder"}, "keep has no effect without --precision=int8"),
        ({"format": "litert", "lengths": "32,0"}, "--lengths=32,0: expected dynamic, or lengths"),
        ({"format": "litert", "lengths": "64"}, "--lengths=64: the model takes 32 tokens at most"),
        ({"format": "onnx,litert", "lengths": "8"}, "inputs of litert alone are padded to them"),
        ({"max_metric_loss": 1.0}, "max_metric_loss has no effect without"),
    ],
)
def test_bad_flags(model, tmp_path, flags, message):
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        call(model_dir=model, output_dir=tmp_path / "out", **flags)


def test_what_cannot_be_exported_is_refused(model, data, tmp_path):
    loaded = load_model(model)
    arrays = dict(loaded.arrays)
    scope = "bert/encoder/layer_0/output/dense"
    kernel = arrays.pop(f"{scope}/kernel")
    arrays |= {
        f"{scope}_p/kernel": kernel[:, :2],
        f"{scope}_q/kernel": kernel[:2],
        f"{scope}_q/bias": arrays.pop(f"{scope}/bias"),
        f"{scope}_g/log_alpha": np.zeros(2, np.float32),
    }
    masked = save_model_folder(
        tmp_path / "masked", loaded.config, arrays, loaded.vocab_file, loaded.task
    )
    with pytest.raises(UserError, match=r"has masks.*remove_mask\.py"):
        call(model_dir=masked, output_dir=tmp_path / "out")
    encoder = tiny.make_model(tmp_path / "encoder")
    with pytest.raises(UserError, match="has no classifier"):
        call(model_dir=encoder, data_dir=data, output_dir=tmp_path / "out")
    assert call(model_dir=encoder, output_dir=tmp_path / "out")["onnx"]["kind"] == "encoder"
