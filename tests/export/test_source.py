"""What is exported: labels by name, pairs of texts, and what is no classifier of sentences."""

import dataclasses
import json

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError
from bert_tf.export import source
from bert_tf.export.options import ExportOptions
from bert_tf.export.program import export
from bert_tf.serving import Classifier
from tests import tiny


def named(model, names, **keys):
    """The model without task.json, its outputs named as Hugging Face does it."""
    extra = {"id2label": {str(i): name for i, name in enumerate(names)}, **keys}
    config = model.config.replace(extra={**model.config.extra, **extra})
    return dataclasses.replace(model, config=config, task=None)


@pytest.fixture
def model(tmp_path):
    task = {"task_name": "sst-2", "max_seq_length": 16}
    return load_model(tiny.make_classifier(tmp_path / "model", ["0", "1"], task))


def test_labels_are_those_of_id2label(model):
    found = source.of(named(model, ["NEGATIVE", "POSITIVE"]))
    assert (found.kind, found.labels, found.pairs) == (
        "classification",
        ["NEGATIVE", "POSITIVE"],
        None,
    )
    assert source.of(named(model, ["LABEL_0", "LABEL_1"])).labels == ["0", "1"]


@pytest.mark.parametrize("order", [("0", "1"), ("1", "0")])
def test_labels_in_another_order_than_the_rows_keep_their_outputs(tmp_path, order):
    pytest.importorskip("onnxruntime")
    data = tiny.make_sst2(tmp_path / "data")
    task = {"task_name": "sst-2", "max_seq_length": 16}
    folder = tiny.make_classifier(tmp_path / "model", list(order), task)
    texts = ["a very good film", "dull"]
    found = {}
    for name, rows in (("rows", {"data_dir": str(data)}), ("random", {})):
        values = {"model_dir": str(folder), "output_dir": str(tmp_path / name), **rows}
        export(ExportOptions(given=frozenset(values), **values))
        found[name] = [x.probabilities for x in Classifier(tmp_path / name)(texts)]
    for a, b in zip(found["rows"], found["random"], strict=True):
        assert a == pytest.approx(b, abs=1e-6)
    assert list(found["random"][0]) == list(order)


def test_a_custom_task_is_named_by_the_model_and_checked_on_its_rows(tmp_path, model):
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "hf"
    folder.mkdir()
    from bert_tf.checkpoints.convert import convert

    convert(named(model, ["NEGATIVE", "POSITIVE"]), folder, "huggingface")
    data = tiny.make_sst2(tmp_path / "data")
    values = {
        "model_dir": str(folder), "output_dir": str(tmp_path / "out"), "data_dir": str(data),
        "task_name": "sst-2",
    }  # fmt: skip
    [done] = export(ExportOptions(given=frozenset(values), **values))
    about = json.loads((done.folder / "export.json").read_text("utf-8"))
    assert about["labels"] == ["NEGATIVE", "POSITIVE"]
    assert about["check"]["metric"] == "accuracy"


@pytest.mark.parametrize(
    ("task", "labels", "pairs"),
    [
        ({"task_name": "sst-2"}, ["0", "1"], False),
        ({"task_name": "rte"}, ["entailment", "not_entailment"], True),
        ({"task_name": "custom", "text_pair_column": "b"}, ["x", "y"], True),
        ({"task_name": "custom"}, ["x", "y"], False),
        ({}, ["x", "y"], None),
    ],
)
def test_pairs_are_known_without_rows(model, task, labels, pairs):
    model = dataclasses.replace(model, task={**task, "labels": labels})
    assert source.of(model).pairs is pairs


def test_a_head_of_tokens_is_refused(model):
    tagger = named(model, ["O", "B"], architectures=["BertForTokenClassification"])
    with pytest.raises(UserError, match="has a classifier of words"):
        source.of(tagger)


def test_as_many_labels_as_outputs(model):
    model = dataclasses.replace(model, task={"labels": ["a", "b", "c"]})
    assert len(model.arrays["output_bias"]) == 2
    with pytest.raises(UserError, match="labels must be 2 different names"):
        source.of(model)
    arrays = {**model.arrays, "output_weights": np.zeros([1, 16]), "output_bias": np.zeros(1)}
    regression = dataclasses.replace(model, arrays=arrays, task={"labels": None})
    assert source.of(regression).kind == "regression"
