"""What the files say about a classifier, and which task it fits in which order."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.checkpoints import convert, head, head_matching, huggingface
from bert_tf.checkpoints.model_folder import LoadedModel, load_model
from bert_tf.data.tasks import custom_task, get_task
from bert_tf.errors import UserError
from tests import needs

CLASSIFIER = {"architectures": ["BertForSequenceClassification"]}
NLI = ("entailment", "neutral", "contradiction")


def custom(*labels):
    """The user's task with these labels, a regression without."""
    return custom_task(text_column="text", labels=labels or None, regression=not labels)


def named(*labels, **keys):
    """The keys of config.json that name these labels, in this order."""
    return {**CLASSIFIER, "id2label": {str(i): x for i, x in enumerate(labels)}, **keys}


def of_config(keys, outputs=None):
    return head.of_config(keys, outputs or len(keys.get("id2label") or "ab"), "config.json")


def of_task(task_name, labels):
    task = {"task_name": task_name, "labels": labels}
    return head.of_task(task, len(labels or [0]), "task.json")


def order_of(found, task, numbers_agree=False):
    return head_matching.order_of(found, task, numbers_agree)[0]


def test_outputs_are_found_by_name():
    assert order_of(of_config(named(*NLI)), get_task("mnli")) == [2, 0, 1]
    assert order_of(of_task("custom", ["pos", "neg"]), custom("neg", "pos")) == [1, 0]
    assert order_of(of_config(named(" Neutral ", "ENTAILMENT", "Contradiction")), get_task("xnli"))
    assert order_of(of_task("mnli", list(NLI)), custom(*NLI[::2])) is None
    assert order_of(of_task("mnli", list(NLI)), custom(*NLI[::-1])) == [2, 1, 0]
    assert order_of(of_task("custom", ["a", "A"]), custom("A", "a")) == [1, 0]
    assert order_of(of_config(named("a", "A")), custom("A", "b")) is None
    assert order_of(of_config(named("A", "b")), custom("a", "A")) is None


@settings(deadline=None, derandomize=True)
@given(st.permutations(range(5)), st.permutations(range(5)))
def test_any_order_finds_each_label(ours, theirs):
    labels = [f"label {i}" for i in range(5)]
    task = custom(*(labels[i] for i in ours))
    order = order_of(of_config(named(*(labels[i] for i in theirs))), task)
    assert [labels[theirs[i]] for i in order] == list(task.labels)


@pytest.mark.parametrize("names", itertools.permutations(["mnli", "mnli-mm", "xnli"], 2))
def test_one_family_of_tasks(names):
    found = of_task(names[0], list(NLI))
    assert order_of(found, get_task(names[1])) == [2, 0, 1]


@pytest.mark.parametrize(
    ("found", "task"),
    [
        (of_task("qnli", ["not_entailment", "entailment"]), get_task("rte")),
        (of_task("sst-2", ["0", "1"]), get_task("cola")),
        (of_task("imdb", ["0", "1"]), get_task("sst-2")),
        (of_task("custom", ["0", "1"]), get_task("sst-2")),
        (of_task("sst-2", ["0", "1"]), custom("0", "1")),
        (of_task("custom", ["no", "yes"]), custom("neg", "pos")),
        (of_task("custom", ["no", "yes"]), custom("maybe", "no", "yes")),
        (of_task("custom", ["no", "yes"]), get_task("sst-2")),
        (of_task("sts-b", None), custom("0", "1")),
        (of_task("sts-b", None), custom()),
        (of_task("sst-2", ["0", "1"]), get_task("sts-b")),
        (of_config(named("0", "1")), get_task("rte")),
        (of_config(named("NEGATIVE", "POSITIVE")), get_task("yelp-p")),
        (of_config(named("LABEL_1", "LABEL_0")), get_task("sst-2")),
        (of_config({**CLASSIFIER, "finetuning_task": "cola"}, 2), get_task("sst-2")),
        (of_config({**CLASSIFIER, "finetuning_task": "STS_B"}, 1), get_task("mrpc")),
        (of_config(CLASSIFIER, 3), get_task("sst-2")),
        (of_config(CLASSIFIER, 1), get_task("sst-2")),
        (of_config({}, 2), get_task("sts-b")),
        (of_config(named("bad", "good", problem_type="multi_label_classification")),
            custom("bad", "good")),
        (of_config({**CLASSIFIER, "problem_type": "regression"}, 2), custom("bad", "good")),
        (of_config({**CLASSIFIER, "problem_type": "single_label_classification"}, 1), custom()),
        *((of_config({"architectures": [f"{kind}"]}, 2), get_task("sst-2")) for kind in (
            "BertForTokenClassification", "TFBertForTokenClassification",
            "BertForQuestionAnswering", "BertForNextSentencePrediction",
        )),
        (of_config({"architectures": ["BertForMultipleChoice"]}, 1), get_task("sts-b")),
    ],
    ids=str,
)  # fmt: skip
def test_another_head_is_not_taken(found, task):
    order, reason = head_matching.order_of(found, task)
    assert order is None
    assert found.fault or f"of task {task.name} with" in reason


@pytest.mark.parametrize(
    ("found", "task", "note"),
    [
        (of_config({}, 2), get_task("sst-2"), "nothing names .* taken as 0, 1, in this order"),
        (of_config(CLASSIFIER, 3), get_task("mnli"), "taken as contradiction, entailment, neutral"),
        (of_config(named("LABEL_0", "LABEL_1")), custom("neg", "pos"), "taken as neg, pos"),
        (of_config({}, 1), get_task("sts-b"), "assumed to mean the same in task sts-b"),
        (of_config(named("0", "1")), get_task("cola"), "assumed to mean the same in task cola"),
        (of_config(named("NEGATIVE", "POSITIVE")), custom("1", "0"), "NEGATIVE = 0, POSITIVE = 1"),
    ],
    ids=str,
)
def test_what_is_assumed_is_said(found, task, note):
    order, said = head_matching.order_of(found, task)
    assert order == ([1, 0] if task.labels == ("1", "0") else [*range(found.outputs)])
    assert re.search(note, said)


def test_the_numbers_of_an_official_task_may_be_asked_for():
    for found, task in (
        (of_task("sst-2", ["0", "1"]), custom("1", "0")),
        (of_task("sts-b", None), custom()),
    ):
        order, said = head_matching.order_of(found, task, numbers_agree=True)
        assert order == [*range(found.outputs)][::-1]
        assert "assumed" in said


def test_names_that_are_the_defaults_may_be_a_users_own():
    assert order_of(of_task("custom", ["LABEL_1", "LABEL_0"]), custom("LABEL_0", "LABEL_1"))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"id2label": {"0": "a", "2": "b"}}, "id2label must give each of the classifier's 2"),
        ({"id2label": {"0": "a", "1": "a"}}, "id2label must give"),
        ({"id2label": {"0": "a", "1": " a"}}, "id2label must give"),
        ({"id2label": {"0": "a", "one": "b"}}, "id2label must give"),
        ({"id2label": {"0": "a", "1": None}}, "id2label must give"),
        ({"id2label": {"0": "a", "1": ["b"]}}, "id2label must give"),
        ({"id2label": {"0": "a", "1": ""}}, "id2label must give"),
        ({"id2label": {"0": "a"}}, "id2label must give"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "id2label must give"),
        ({"id2label": {}}, "id2label must give"),
        ({"id2label": ["a", "b"]}, "id2label must give"),
        ({"id2label": "a"}, "id2label must give"),
        ({"label2id": {"a": 0, "b": 2}}, "label2id must give"),
        ({"label2id": {"a": 0, "b": 0}}, "label2id must give"),
        ({"label2id": {"a": 0, "b": True}}, "label2id must give"),
        ({"label2id": {"a": 0, "b": 1.0}}, "label2id must give"),
        ({**named("a", "b"), "label2id": {"a": 1, "b": 0}}, "label2id says b, a and id2label a, b"),
        ({**named("a", "b"), "label2id": {"a": 0, "c": 1}}, "label2id says"),
        ({**named("LABEL_0", "LABEL_1"), "label2id": {"a": 0, "c": 1}}, "label2id says"),
        ({"problem_type": "ranking"}, "problem_type must be one of regression"),
    ],
    ids=str,
)
def test_a_configuration_that_contradicts_itself(keys, expected):
    with pytest.raises(UserError, match=f"^config.json: {expected}"):
        of_config(keys, 2)


def test_ways_to_write_the_names():
    for keys in (
        {"id2label": {"1": "b", "0": "a"}},
        {"label2id": {"b": 1, "a": 0}},
        {**named("a", "b"), "label2id": {"b": "1", "a": "0"}},
        {**named("a", "b"), "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}},
    ):
        assert of_config(keys, 2).labels == ("a", "b")
    assert of_config({"id2label": {"0": 1, "1": 0}}, 2).labels == ("1", "0")
    assert of_config(named("LABEL_0", "LABEL_1")).labels is None


@pytest.mark.parametrize(
    "labels", [["a"], ["a", "b", "c"], ["a", "a"], ["a", None], "ab", None, {"a": 0}], ids=str
)
def test_a_task_file_that_does_not_fit_the_weights(labels):
    with pytest.raises(UserError, match=r"^task\.json: labels must be 2 different names"):
        head.of_task({"task_name": "custom", "labels": labels}, 2, "task.json")


def test_no_names_in_task_json():
    found = head.of_task({"task_name": "mnli"}, 3, "task.json")
    assert head_matching.order_of(found, get_task("mnli"))[0] == [0, 1, 2]
    assert order_of(found, get_task("ag")) is None


@pytest.fixture
def model(config, arrays):
    """A model with two labels, in another order than the task's."""
    task = {"task_name": "custom", "labels": ["yes", "maybe", "no"], "max_seq_length": 9}
    return LoadedModel(config, arrays, "here", task=task)


def test_matching_moves_rows_and_names_together(model, arrays):
    found = head_matching.matched(model, custom("no", "maybe", "yes"))
    for name in ("output_weights", "output_bias"):
        np.testing.assert_array_equal(found.arrays[name], arrays[name][::-1])
    assert (found.task["labels"], found.task["max_seq_length"]) == (["no", "maybe", "yes"], 9)
    again = head_matching.matched(found, custom("no", "maybe", "yes"))
    np.testing.assert_array_equal(again.arrays["output_bias"], found.arrays["output_bias"])
    assert model.task["labels"] == ["yes", "maybe", "no"]


def test_a_head_that_does_not_fit_is_left_out_and_says_why(model):
    found = head_matching.matched(model, custom("no", "yes"))
    assert not {"output_weights", "output_bias"} & set(found.arrays)
    assert found.task is None
    assert "task custom with 3 outputs (labels yes, maybe, no)" in found.left["output_weights"]
    with pytest.raises(UserError, match=r"here: its classifier is for .*: do that"):
        head_matching.require(found, custom("no", "yes"), "do that")


def test_names_go_to_hugging_face_and_back(tmp_path, model, arrays):
    convert.convert(model, tmp_path / "hf", "huggingface")
    found = load_model(tmp_path / "hf")
    assert head.describe(found).labels == ("yes", "maybe", "no")
    assert head.describe(found).task_name == "custom"
    convert.convert(found, tmp_path / "google")
    again = load_model(tmp_path / "google")
    assert head.describe(again) == head.describe(found)
    convert.convert(again, tmp_path / "hf2", "huggingface")
    assert (tmp_path / "hf2/config.json").read_text() == (tmp_path / "hf/config.json").read_text()


def test_a_regression_says_so_to_hugging_face(tmp_path, config, arrays):
    arrays = {**arrays, **{n: arrays[n][:1] for n in ("output_weights", "output_bias")}}
    stale = config.replace(extra=named("a", "b"))
    huggingface.write(tmp_path, stale, arrays, task={"task_name": "sts-b", "labels": None})
    extra = huggingface.read_config(tmp_path).extra
    assert extra["id2label"] == {"0": "LABEL_0"}
    assert (extra["problem_type"], extra["finetuning_task"]) == ("regression", "sts-b")


def test_names_in_label2id_alone_are_written_both_ways(tmp_path, config, arrays):
    theirs = config.replace(extra={"label2id": {"c": 2, "a": 0, "b": 1}})
    huggingface.write(tmp_path, theirs, arrays)
    assert huggingface.read_config(tmp_path).extra["id2label"] == {"0": "a", "1": "b", "2": "c"}


def test_another_kind_of_head_keeps_its_kind(tmp_path, config, arrays):
    keys = named("O", "PER", "LOC", architectures=["BertForTokenClassification"])
    model = LoadedModel(config.replace(extra=keys), arrays, "tagger")
    convert.convert(model, tmp_path / "google")
    convert.convert(load_model(tmp_path / "google"), tmp_path / "hf", "huggingface")
    extra = huggingface.read_config(tmp_path / "hf").extra
    assert {key: extra[key] for key in keys} == keys


@pytest.mark.parametrize("kind", needs.each_of(convert.FORMATS))
def test_a_folder_without_head_names_no_labels(tmp_path, config, arrays, kind):
    bare = {n: a for n, a in arrays.items() if not n.startswith("output_")}
    stale = config.replace(extra=named("a", "b", "c"))
    convert.convert(LoadedModel(stale, bare, "bare"), tmp_path / kind, kind)
    assert not set(named("a")) & set(load_model(tmp_path / kind).config.extra)


def test_reading_a_hugging_face_folder_names_the_file(tmp_path, config, arrays):
    huggingface.write(tmp_path, config, arrays, task={"labels": ["a", "b", "c"]})
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"1": "b"', '"1": "a"'))
    with pytest.raises(UserError, match=r"/config\.json: id2label must give each .*, found"):
        load_model(tmp_path)
