"""export_subnetwork.py as a user runs it, and what the other programs make of its result."""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import convert_checkpoint
import export_subnetwork
import factorize
import remove_mask
from bert_tf import files
from bert_tf.checkpoints import forms
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.classification.evaluation import Evaluator
from bert_tf.classification.model import SequenceClassifier
from bert_tf.dynabert.export import RECORD
from bert_tf.encoder import BertEncoder, Subnetwork, kernels
from bert_tf.errors import UserError
from bert_tf.pruning import comparison
from tests import needs, tiny
from tests.dynabert import reference

WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)
TRAINED = {"widths": [1.0, 0.5], "depths": [1.0, 0.5], "depth_rule": "keep_last", "rewired": True}
TASK = {"task_name": "sst-2", "labels": ["0", "1"], "max_seq_length": 16, "do_lower_case": True}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def elastic(tmp_path_factory):
    """A classifier of SST-2 whose configuration says that it was trained to sub-networks."""
    return tiny.make_classifier(
        tmp_path_factory.mktemp("elastic") / "m", TASK["labels"], TASK, num_attention_heads=4,
        num_hidden_layers=4, extra={RECORD: TRAINED},
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_sst2(tmp_path_factory.mktemp("data") / "sst2")


def call(program=export_subnetwork, **values):
    """Runs a program in this process."""
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    program.main(program.Options(given=frozenset(values), **values))


def logits_of(folder, store):
    """What the model in a folder computes as it is used."""
    model = load_model(folder)
    _, forward = comparison.inference_function(model.config, model.arrays)
    inputs, _ = store.batch(range(len(store)))
    return forward(inputs).numpy()


def elastic_logits(folder, store, part):
    """What the sub-network computes inside the whole model."""
    model = load_model(folder)
    encoder = BertEncoder(model.config, kernels.factory(model.config, model.arrays))
    whole = SequenceClassifier(model.config, len(model.arrays["output_bias"]), encoder=encoder)
    assign_arrays(whole.model_weights, model.arrays, "the whole model")
    return Evaluator(whole, batch_size=64, forward=part.forward).logits(store)


def test_the_result_computes_what_the_subnetwork_does_at_each_point_of_the_grid(elastic, tmp_path):
    config = load_model(elastic).config
    store = comparison.random_store(config, examples=16)
    seen = []
    for width, depth in itertools.product(WIDTHS, DEPTHS):
        call(model_dir=elastic, width=width, depth=depth, output_dir=tmp_path / "out")
        part = Subnetwork.of(config, width, depth, "keep_last")
        found, expected = logits_of(tmp_path / "out", store), elastic_logits(elastic, store, part)
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
        small = load_model(tmp_path / "out")
        assert small.config.num_hidden_layers == 4 * depth
        assert small.config.units_of(0) == (4 * width, 32 * width)
        assert RECORD not in small.config.extra
        seen.append(found)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("kind", reference.KINDS)
def test_models_of_every_kind(kind, tmp_path):
    config, arrays = reference.make_arrays(**reference.KINDS[kind])
    save_model_folder(tmp_path / "m", config, arrays)
    mine = {"mine": {"layers": [1], "heads": [3], "neurons": [5]}}
    files.write_json(tmp_path / "mine.json", mine)
    call(
        model_dir=tmp_path / "m", subnetworks=tmp_path / "mine.json", name="mine",
        output_dir=tmp_path / "out",
    )  # fmt: skip
    store = reference.make_store()
    expected = elastic_logits(tmp_path / "m", store, Subnetwork((1,), ((3, 5),)))
    np.testing.assert_allclose(logits_of(tmp_path / "out", store), expected, atol=1e-5, rtol=1e-5)


def test_a_part_of_a_part(elastic, tmp_path):
    """Of a compact model, whose layers have heads and neurons of their own."""
    mixed = {"layers": [0, 2, 3], "heads": [4, 2, 1], "neurons": [8, 32, 16]}
    files.write_json(tmp_path / "mixed.json", {"mixed": mixed})
    call(
        model_dir=elastic, subnetworks=tmp_path / "mixed.json", name="mixed",
        output_dir=tmp_path / "mixed",
    )  # fmt: skip
    call(model_dir=tmp_path / "mixed", width=0.5, depth=0.7, output_dir=tmp_path / "part")
    part = Subnetwork((0, 2), ((2, 4), (1, 16)))
    store = comparison.random_store(load_model(elastic).config, examples=8)
    found = logits_of(tmp_path / "part", store)
    with pytest.raises(UserError, match=r"width 0\.25 keeps no head of 2"):
        call(model_dir=tmp_path / "mixed", width=0.25, output_dir=tmp_path / "none")
    np.testing.assert_allclose(found, elastic_logits(elastic, store, part), atol=1e-5, rtol=1e-5)


def test_what_it_prints_and_keeps(elastic, tmp_path):
    done = subprocess.run(
        [
            sys.executable, str(tiny.ROOT / "export_subnetwork.py"), f"--model_dir={elastic}",
            "--width=0.5", "--depth=0.5", f"--output_dir={tmp_path / 'out'}",
        ],
        env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[1:3] == ["0 1 2 of 4 16 of 32", "1 3 2 of 4 16 of 32"]  # its own rule: keep_last
    whole, small = (
        sum(a.size for a in load_model(folder).arrays.values())
        for folder in (elastic, tmp_path / "out")
    )
    assert f"2 of 4 layers, {whole:,} -> {small:,} parameters" in lines[3]
    assert "warning" not in done.stdout
    origin = files.read_json(tmp_path / "out" / "origin.json", "origin")
    assert origin["command"].startswith(f"export_subnetwork.py --model_dir={elastic}")
    config = load_model(tmp_path / "out").config
    assert config.extra["subnetwork"] == {"layers": [1, 3], "of": 4}
    call(model_dir=elastic, width=0.5, output_dir=tmp_path / "all")
    assert "subnetwork" not in load_model(tmp_path / "all").config.extra
    for name in ("vocab.txt", "task.json"):
        assert (tmp_path / "out" / name).read_bytes() == (elastic / name).read_bytes()


def test_warnings(elastic, tmp_path, capsys):
    call(model_dir=elastic, width=0.25, output_dir=tmp_path / "out")
    assert "was not trained to width 0.25, but to 1, 0.5" in capsys.readouterr().out
    whole = load_model(elastic)
    save_model_folder(tmp_path / "m", whole.config.replace(extra={}), whole.arrays)
    call(model_dir=tmp_path / "m", depth=0.5, output_dir=tmp_path / "out")
    said = capsys.readouterr().out
    assert "warning: " in said and "was never trained to sub-networks" in said
    assert "0     0" in said  # keep_first


@pytest.fixture(scope="module")
def cut(elastic, tmp_path_factory):
    """The sub-network of half the width and depth."""
    folder = tmp_path_factory.mktemp("cut") / "m"
    call(model_dir=elastic, width=0.5, depth=0.5, output_dir=folder)
    return folder


def test_it_trains_and_evaluates(cut, data, tmp_path):
    results = tiny.run(
        do_train=True, do_eval=True, model_dir=cut, data_dir=data, num_train_epochs=1.0,
        max_seq_length=16, output_dir=tmp_path / "run",
    )  # fmt: skip
    assert results["global_step"] and load_model(tmp_path / "run").config.attention_head_size == 4


def test_it_is_cut_further(elastic, cut, data, tmp_path):
    call(
        factorize, model_dir=cut, data_dir=data, target_sparsity=0.3,
        output_dir=tmp_path / "cut",
    )  # fmt: skip
    assert load_model(tmp_path / "cut").config.pruned_layers_dim
    config, arrays = reference.make_arrays(**reference.KINDS["masked"])
    save_model_folder(tmp_path / "masked", config, arrays)
    call(model_dir=tmp_path / "masked", width=0.5, depth=0.5, output_dir=tmp_path / "part")
    call(remove_mask, model_dir=tmp_path / "part", output_folder_dir=tmp_path / "compact")
    store = reference.make_store()
    found, expected = (logits_of(tmp_path / name, store) for name in ("compact", "part"))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


def test_it_is_converted_to_hugging_face(elastic, tmp_path):
    mixed = {"layers": [0, 2], "heads": [3, 1], "neurons": [8, 32]}
    files.write_json(tmp_path / "mixed.json", {"mixed": mixed})
    call(
        model_dir=elastic, subnetworks=tmp_path / "mixed.json", name="mixed",
        output_dir=tmp_path / "m",
    )  # fmt: skip
    call(
        convert_checkpoint, input=tmp_path / "m", output=tmp_path / "hf",
        output_format="huggingface",
    )  # fmt: skip
    written = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert written["pruned_heads"] == {"0": [3], "1": [1, 2, 3]}
    store = comparison.random_store(load_model(elastic).config, examples=8)
    found, expected = (logits_of(tmp_path / name, store) for name in ("hf", "m"))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@needs.tf_models
def test_tf_models_has_no_place_for_it(cut, tmp_path):
    with pytest.raises(UserError, match="cannot hold a sub-network, whose heads do not fill"):
        call(convert_checkpoint, input=cut, output=tmp_path / "tf", output_format="tf_models")
    assert not list((tmp_path / "tf").iterdir())


def test_its_latency_is_measured(elastic, cut):
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.latency", "--rounds=1", "--turn_seconds=0",
            "--batches=1", "--lengths=8", f"--models=whole={elastic},cut={cut}",
        ],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| 1 x 8 | cut |" in done.stdout


FILES = {
    "none": {"layers": [], "heads": [], "neurons": []},
    "heads": {"layers": [0], "heads": [5], "neurons": [8]},
    "layers": {"layers": [0, 4], "heads": [4, 4], "neurons": [8, 8]},
    "order": {"layers": [1, 0], "heads": [4, 4], "neurons": [8, 8]},
    "count": {"layers": [0, 1], "heads": [4], "neurons": [8, 8]},
    "text": {"layers": [0], "heads": ["4"], "neurons": [8]},
    "lacks": {"layers": [0], "heads": [4]},
}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "--output_dir is required"),
        ({"output_dir": "{o}"}, "give one of --model_dir and --checkpoint: the elastic model"),
        ({"width": 1.5}, r"--width=1.5: expected a number in \(0, 1\]"),
        ({"depth": 0.0}, r"--depth=0.0: expected a number in \(0, 1\]"),
        ({"width": 0.125}, "width 0.125 keeps no head of 4"),
        ({"depth": 0.1}, "depth 0.1 keeps no layer of 4"),
        ({"name": "x"}, "--name has no effect without --subnetworks"),
        ({"subnetworks": "{f}"}, "give --name"),
        ({"subnetworks": "{f}", "name": "x", "width": 0.5}, "--width has no effect with"),
        ({"subnetworks": "no.json", "name": "x"}, "no.json: cannot read the file of sub-networks"),
        ({"subnetworks": "{o}-x", "name": "x"}, "has no sub-network 'x', but good"),
        ({"subnetworks": "{o}-none", "name": "none"}, "none: expected lists of whole numbers"),
        ({"subnetworks": "{o}-heads", "name": "heads"}, "heads: 5 heads in layer 0, expected 1 to"),
        ({"subnetworks": "{o}-layers", "name": "layers"}, "of a model of 4 layers"),
        ({"subnetworks": "{o}-order", "name": "order"}, "must grow"),
        ({"subnetworks": "{o}-count", "name": "count"}, "2 layers, 1 heads and 2 neurons"),
        ({"subnetworks": "{o}-text", "name": "text"}, "text: expected lists of whole numbers"),
        ({"subnetworks": "{o}-lacks", "name": "lacks"}, "lacks: expected lists of whole numbers"),
        ({"output_dir": "{m}"}, "holds the model to start from"),
        ({"output_dir": "{d}"}, "holds files already"),
    ],
)
def test_bad_input_writes_nothing(elastic, data, tmp_path, values, message):
    files.write_json(tmp_path / "f", {"good": {"layers": [0], "heads": [1], "neurons": [1]}})
    files.write_json(tmp_path / "o-x", files.read_json(tmp_path / "f", "file"))
    for name, value in FILES.items():
        files.write_json(tmp_path / f"o-{name}", {name: value})
    places = {"m": elastic, "o": tmp_path / "o", "d": data, "f": tmp_path / "f"}
    if values and list(values) != ["output_dir"]:
        values = {"model_dir": "{m}", "output_dir": "{o}", **values}
    elif values.get("output_dir") in ("{m}", "{d}"):
        values = {"model_dir": "{m}", **values}
    values = {k: v.format(**places) if isinstance(v, str) else v for k, v in values.items()}
    with pytest.raises(UserError, match=message):
        call(**values)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "dynabert of the configuration must be a JSON object"),
        ({"widths": [2]}, r"dynabert.widths of the configuration must be a list of numbers"),
        ({"depth_rule": "x"}, "dynabert.depth_rule of the configuration must be one of"),
    ],
)
def test_a_damaged_record(elastic, tmp_path, record, message):
    model = load_model(elastic)
    save_model_folder(tmp_path / "m", model.config.replace(extra={RECORD: record}), model.arrays)
    with pytest.raises(UserError, match=message):
        call(model_dir=tmp_path / "m", width=0.5, output_dir=tmp_path / "o")


@pytest.mark.slow
@pytest.mark.skipif(
    not {"BERT_TF_MODEL", "BERT_TF_DATA"} <= set(os.environ),
    reason="BERT_TF_MODEL and BERT_TF_DATA do not name a model folder and the data folder",
)
def test_each_point_of_the_grid_on_real_rows(tmp_path):
    model = load_model(os.environ["BERT_TF_MODEL"])
    rng = np.random.default_rng(0)
    head = {
        "output_weights": rng.normal(size=(2, model.config.hidden_size)).astype(np.float32),
        "output_bias": np.zeros(2, np.float32),
    }
    task = {**TASK, "max_seq_length": 128}
    folder = save_model_folder(
        tmp_path / "m", model.config, {**model.arrays, **head}, model.vocab_file, task
    )
    data = pathlib.Path(os.environ["BERT_TF_DATA"]) / "glue_data" / "SST-2"
    store = comparison.dev_store(load_model(folder), data).taken(range(64))
    for width, depth in itertools.product(WIDTHS, DEPTHS):
        call(model_dir=folder, width=width, depth=depth, output_dir=tmp_path / "out")
        part = Subnetwork.of(model.config, width, depth)
        found, expected = logits_of(tmp_path / "out", store), elastic_logits(folder, store, part)
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
        assert forms.CONFIG_FILE in os.listdir(tmp_path / "out")
