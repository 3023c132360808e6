"""extract_features.py reads lines and writes Google's JSON lines or arrays, all or nothing."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError
from bert_tf.features import Extractor, program
from bert_tf.features.options import ExtractionOptions
from tests import tiny

LINES = ["good film", "", "  so dull ||| a lovely plot ||| it was \r", "very " * 30, "||| bad"]
ROWS = ["good film", "", ("so dull ||| a lovely plot", "it was"), "very " * 30, "||| bad"]


@pytest.fixture(autouse=True, scope="module")
def eagerly():
    """Tracing takes longer than what is computed here."""
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder of two layers."""
    folder = tmp_path_factory.mktemp("models") / "model"
    return tiny.make_model(folder, num_hidden_layers=2)


def extract(model, **flags):
    flags = {"model_dir": model, "max_seq_length": 12, **flags}
    flags = {k: x if isinstance(x, int) else str(x) for k, x in flags.items()}
    return program.run(ExtractionOptions(given=frozenset(flags), **flags))


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("".join(f"{line}\n" for line in LINES).encode())
    return path


def features_of(model, rows=ROWS, **arguments):
    return list(Extractor(load_model(model), max_seq_length=12, **arguments)(rows))


def as_google_writes(rows):
    """The lines of Google's program for `TextFeatures`, value by value."""
    for index, found in enumerate(rows):
        features = []
        for i, token in enumerate(found.tokens):
            layers = [
                {"index": key, "values": [round(float(x), 6) for x in vectors[i].flat]}
                for key, vectors in found.vectors.items()
            ]
            features.append({"token": token, "layers": layers})
        yield json.dumps({"linex_index": index, "features": features}) + "\n"


def test_the_lines_are_googles(tmp_path, model, lines):
    extract(model, input_file=lines, output_file=tmp_path / "out.jsonl", layers="-2,-1")
    expected = as_google_writes(features_of(model, layers=[-2, -1]))
    assert (tmp_path / "out.jsonl").read_text() == "".join(expected)


def test_googles_three_flags_name_the_model(tmp_path, model, lines):
    extract(
        "", init_checkpoint=model / "bert_model.ckpt", vocab_file=model / "vocab.txt",
        bert_config_file=model / "bert_config.json", input_file=lines,
        output_file=tmp_path / "out.jsonl",
    )  # fmt: skip
    expected = as_google_writes(features_of(model))
    assert (tmp_path / "out.jsonl").read_text() == "".join(expected)


def test_standard_streams(model, monkeypatch, capsys):
    content = "".join(f"{line}\n" for line in LINES).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    extract(model, layers="0")
    expected = as_google_writes(features_of(model, layers=[0]))
    assert capsys.readouterr().out == "".join(expected)


def test_arrays_of_all_tokens(tmp_path, model, lines):
    output = tmp_path / "out.npz"
    extract(model, input_file=lines, output_file=output, format="npz", layers="-1,0")
    found, rows = np.load(output), features_of(model, layers=[-1, 0])
    assert sorted(found) == ["ids", "layer_-1", "layer_0", "offsets"]
    assert found["layer_0"].dtype == np.float32
    np.testing.assert_array_equal(np.diff(found["offsets"]), [len(x.ids) for x in rows])
    np.testing.assert_array_equal(found["ids"], np.concatenate([x.ids for x in rows]))
    for key in (-1, 0):
        expected = np.concatenate([x.vectors[key] for x in rows])
        np.testing.assert_array_equal(found[f"layer_{key}"], expected)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooled"])
def test_a_vector_a_line(tmp_path, model, lines, pooling):
    for form in ("npz", "jsonl"):
        output = tmp_path / f"out.{form}"
        extract(model, input_file=lines, output_file=output, format=form, pooling=pooling)
    key = "pooled" if pooling == "pooled" else "layer_-1"
    found = np.load(tmp_path / "out.npz")
    assert list(found) == [key]
    rows = features_of(model, pooling=pooling)
    np.testing.assert_array_equal(found[key], [next(iter(x.vectors.values())) for x in rows])
    for i, line in enumerate((tmp_path / "out.jsonl").read_text().splitlines()):
        read = json.loads(line)
        assert read.pop("linex_index") == i
        if pooling == "pooled":
            values = read.pop("pooled")
        else:
            ((index, values),) = (x.values() for x in read.pop("layers"))
            assert index == -1
        assert not read
        np.testing.assert_allclose(values, found[key][i], atol=6e-7)


@pytest.mark.parametrize(("form", "keys"), [("jsonl", None), ("npz", ["ids", "layer_-1"])])
def test_no_lines_make_no_rows(tmp_path, model, form, keys):
    (tmp_path / "none.txt").write_bytes(b"")
    output = tmp_path / "out"
    extract(model, input_file=tmp_path / "none.txt", output_file=output, format=form, layers="-1")
    if keys:
        assert [len(np.load(output)[key]) for key in keys] == [0, 0]
    else:
        assert output.read_bytes() == b""


def test_lines_that_are_cut_are_counted(tmp_path, model, lines, caplog):
    with caplog.at_level("INFO", logger="absl"):
        extract(model, input_file=lines, output_file=tmp_path / "out.jsonl")
    assert "; 2 lines have 12, to which longer ones are cut (--max_seq_length)" in caplog.text


@pytest.mark.parametrize("form", ["jsonl", "npz"])
def test_bad_input_leaves_the_output_as_it_was(tmp_path, model, form):
    path, output = tmp_path / "lines.txt", tmp_path / "out"
    path.write_bytes(b"good\nb\xff\n")
    output.write_text("before")
    with pytest.raises(UserError, match=r"lines\.txt:2: found byte 0xff, expected UTF-8 text"):
        extract(model, input_file=path, output_file=output, format=form)
    assert output.read_text() == "before"
    assert sorted(x.name for x in tmp_path.iterdir()) == ["lines.txt", "out"]


def test_a_pair_for_a_model_of_single_texts(tmp_path, lines):
    model = tiny.make_model(tmp_path / "single", type_vocab_size=1)
    with pytest.raises(UserError, match=r"lines\.txt:3: is a pair, but .* single texts only"):
        extract(model, input_file=lines, output_file=tmp_path / "out")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"layers": "-1,x"}, "--layers=-1,x: expected integers with commas between them"),
        ({"layers": "-1,-1"}, "--layers=-1,-1: -1 is there twice"),
        ({"format": "npz"}, "--format=npz: is a file of arrays, give --output_file"),
        ({"init_checkpoint": "m"}, "give one of --model_dir and --init_checkpoint"),
        ({"input_file": "a", "output_file": "./a"}, r"--output_file=\./a: is the input"),
        ({"vocab_file": "v.txt", "output_file": "./v.txt"}, r"v\.txt: is a file of --vocab_file"),
        ({"model_dir": "", "init_checkpoint": "m/b.ckpt", "output_file": "m/b.ckpt.index"},
         r"index: is a file of --init_checkpoint, which would be overwritten"),
        ({"max_seq_length": 2}, "--max_seq_length=2: expected 3 or more"),
    ],
)  # fmt: skip
def test_flags_that_cannot_be(model, flags, message):
    with pytest.raises(UserError, match=message):
        extract(flags.pop("model_dir", model), **flags)


def test_the_command(model, lines):
    command = [sys.executable, "extract_features.py", f"--model_dir={model}"]
    done = subprocess.run(
        [*command, "--max_seq_length=12", "--layers=-1"],
        input=lines.read_bytes().decode(), capture_output=True, text=True, check=True,
        cwd=tiny.ROOT, env=tiny.environment(),
    )  # fmt: skip
    found = [json.loads(line)["features"] for line in done.stdout.splitlines()]
    for features, expected in zip(found, features_of(model, layers=[-1]), strict=True):
        assert [x["token"] for x in features] == expected.tokens
        values = [x["layers"][0]["values"] for x in features]
        np.testing.assert_allclose(values, expected.vectors[-1], atol=1e-5)
    assert "5 lines" in done.stderr
