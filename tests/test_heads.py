"""Whose labels a run reports: its task's, matched by name with those of the models it is given."""

import json
import logging

import numpy as np
import pytest
import safetensors.numpy

from bert_tf.checkpoints import convert
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.data.tasks import get_task
from bert_tf.errors import UserError
from bert_tf.pruning import calibration
from tests import tiny

COLUMNS = {"text_column": "text", "label_column": "label"}
TRAIN = {"do_train": True, "train_batch_size": 8, "num_train_epochs": 1.0, "max_seq_length": 16}
STILL = {**TRAIN, "learning_rate": 1e-9}


@pytest.fixture(autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A file of texts labelled neg and pos, and one of texts labelled 0 and 1."""
    root = tmp_path_factory.mktemp("rows")
    texts, labels = tiny.sentences(16)
    names = {"words": ("neg", "pos"), "numbers": ("0", "1"), "scores": ("0.25", "0.75")}
    return {
        kind: tiny.write_rows(
            root / f"{kind}.tsv",
            [("text", "label"), *((t, pair[i]) for t, i in zip(texts, labels, strict=True))],
        )
        for kind, pair in names.items()
    }


def own(rows, kind, *splits):
    """The flags of a custom task on these rows."""
    return {"task_name": "custom", **COLUMNS, **{f"{split}_file": rows[kind] for split in splits}}


def hugging_face(folder, source, **keys):
    """Writes `source` as a Hugging Face folder, with these keys changed (None: left out)."""
    convert.convert(load_model(source), folder, "huggingface")
    config = {**json.loads((folder / "config.json").read_text()), **keys}
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def answers(folder, suffix=""):
    lines = (folder / f"test_results_labels{suffix}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[1] for line in lines[1:]]


def head_of(folder):
    arrays = tiny.arrays_of(folder)
    return np.column_stack([arrays["output_weights"], arrays["output_bias"]])


def task_of(folder):
    return json.loads((folder / "task.json").read_text())


def test_a_classifier_whose_labels_stand_in_another_order(tmp_path):
    names = ["entailment", "neutral", "contradiction"]
    source = tiny.make_classifier(tmp_path / "m", names, certain="entailment")
    theirs = hugging_face(tmp_path / "hf", source, finetuning_task=None)
    results = tiny.run(
        do_eval=True, do_predict=True, task_name="mnli", max_seq_length=16, model_dir=theirs,
        data_dir=tiny.make_mnli(tmp_path / "data"), output_dir=tmp_path / "out",
    )  # fmt: skip
    assert set(answers(tmp_path / "out")) == {"entailment"}
    assert results["metrics"]["dev_matched"]["accuracy"] == pytest.approx(1 / 3, abs=0.03)
    assert results["metrics"]["dev_matched"]["loss"] > 5


def test_a_teacher_whose_labels_stand_in_another_order(tmp_path, rows):
    teacher = tiny.make_classifier(tmp_path / "teacher", ["pos", "neg"], certain="pos")
    tiny.run(
        **{**TRAIN, "num_train_epochs": 4.0, "learning_rate": 0.1}, do_predict=True,
        **own(rows, "words", "train", "test"), model_dir=tiny.make_model(tmp_path / "student"),
        teacher_model_dir=teacher, distillation_label_weight=0.0, output_dir=tmp_path / "out",
    )  # fmt: skip
    assert task_of(tmp_path / "out")["labels"] == ["neg", "pos"]
    assert set(answers(tmp_path / "out")) == {"pos"}


def test_the_columns_of_predictions_are_in_the_order_of_labels(tmp_path, rows, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    model = tiny.make_classifier(tmp_path / "m", ["neg", "pos"])
    flags = {"do_predict": True, **own(rows, "words", "test"), "model_dir": model}
    del flags["label_column"]
    tiny.run(**flags, output_dir=tmp_path / "a")
    assert "were put in the order" not in caplog.text
    tiny.run(**flags, labels="pos, neg", output_dir=tmp_path / "b")
    assert (
        "its outputs (neg, pos) were put in the order of the task's labels (pos, neg)"
        in caplog.text
    )
    first, second = (np.loadtxt(tmp_path / x / "test_results.tsv") for x in "ab")
    np.testing.assert_allclose(first, second[:, ::-1], atol=1e-7)
    assert answers(tmp_path / "a") == answers(tmp_path / "b")
    assert first.std(0).min() > 0.01


def test_names_in_a_hugging_face_folder_are_those_of_predictions(tmp_path, rows):
    source = tiny.make_classifier(tmp_path / "m", ["happy", "angry"], certain="happy")
    theirs = hugging_face(tmp_path / "hf", source)
    tiny.run(
        do_predict=True, task_name="custom", text_column="text", test_file=rows["words"],
        max_seq_length=16, model_dir=theirs, output_dir=tmp_path / "out",
    )  # fmt: skip
    assert set(answers(tmp_path / "out")) == {"happy"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """{name: folder} of classifiers of many kinds."""
    root = tmp_path_factory.mktemp("models")
    words = tiny.make_classifier(root / "words", ["neg", "pos"])
    bare = tiny.make_classifier(root / "bare", ["neg", "pos"])
    (bare / "task.json").unlink()
    found = {
        "plain": tiny.make_model(root / "plain"),
        "words": words,
        "bare": bare,
        "three": tiny.make_classifier(root / "three", ["neg", "neutral", "pos"]),
        "score": tiny.make_classifier(root / "score", None),
        "numbers": tiny.make_classifier(root / "numbers", ["0", "1"]),
        "sst-2": tiny.make_classifier(root / "sst2", ["0", "1"], {"task_name": "sst-2"}),
        "qnli": tiny.make_classifier(
            root / "qnli", ["not_entailment", "entailment"], {"task_name": "qnli"}
        ),
        "tags": hugging_face(
            root / "tags", words, architectures=["BertForTokenClassification"]
        ),
        "many": hugging_face(root / "many", words, problem_type="multi_label_classification"),
        "sentiment": hugging_face(
            root / "sentiment", words, finetuning_task=None, label2id=None,
            id2label={"0": "NEGATIVE", "1": "POSITIVE"},
        ),
    }  # fmt: skip
    return found


# (model, flags, what does not fit): `own` rows or an official task that is never read.
OTHER_HEADS = [
    ("words", {"labels": "bad,good"}, r"task custom with 2 outputs \(labels neg, pos\), the data"),
    ("three", {"labels": "neg,pos"}, r"3 outputs \(labels neg, neutral, pos\), .* \(labels neg, p"),
    ("words", {"regression": True}, r"\(labels neg, pos\), .* 1 output \(a score\)"),
    ("score", {"labels": "neg,pos"}, r"task custom with 1 output \(a score\), .* \(labels neg, p"),
    ("tags", {"labels": "neg,pos"}, "2 outputs of words .* a label for each of its sentences"),
    ("many", {"labels": "neg,pos"}, "the head of a multi_label_classification"),
    ("bare", {"labels": "a,b,c"}, "an unrecorded task with 2 outputs"),
    ("sst-2", {"task_name": "cola"}, "task sst-2 with 2 outputs .* of task cola with 2 outputs"),
    ("qnli", {"task_name": "rte"}, "task qnli with 2 outputs .* of task rte"),
    ("sst-2", {"task_name": "sts-b"}, r"task sst-2 .* of task sts-b with 1 output \(a score\)"),
    ("words", {"task_name": "sst-2"}, r"\(labels neg, pos\), .* task sst-2"),
]


def flags_of(rows, flags, *splits):
    if "task_name" in flags:
        return {**flags, "data_dir": str(rows["words"].parent)}
    kind = "scores" if flags.get("regression") else "words"
    return {**own(rows, kind, *splits), **flags}


@pytest.mark.parametrize(("model", "flags", "expected"), OTHER_HEADS, ids=str)
@pytest.mark.parametrize("mode", ["do_eval", "do_predict"])
def test_another_head_is_refused_without_training(
    models, rows, tmp_path, model, flags, expected, mode
):
    split = {"do_eval": "dev", "do_predict": "test"}[mode]
    with pytest.raises(UserError, match=f"{expected}.*: give a model fine-tuned on task"):
        tiny.run(
            **{mode: True}, **flags_of(rows, flags, split), max_seq_length=16,
            model_dir=models[model], output_dir=tmp_path / "out",
        )  # fmt: skip
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("model", "flags", "expected"), OTHER_HEADS, ids=str)
def test_another_head_does_not_teach(models, rows, tmp_path, model, flags, expected):
    """The features are there by then: the official tasks get rows that need not be theirs."""
    flags = flags_of(rows, flags, "train")
    name = flags["task_name"]
    if name == "sts-b":
        flags["data_dir"] = tiny.make_stsb(tmp_path / name)
    elif name != "custom":
        flags["data_dir"] = tmp_path / name
        write_pairs(tmp_path / name / "train.tsv", name)
    if "labels" in flags:
        texts, _ = tiny.sentences(16)
        labels = flags["labels"].split(",")
        pairs = [(text, labels[i % len(labels)]) for i, text in enumerate(texts)]
        flags["train_file"] = tiny.write_rows(tmp_path / "t.tsv", [("text", "label"), *pairs])
    with pytest.raises(UserError, match=f"{expected}.*: give a --teacher_model_dir that was fine"):
        tiny.run(
            **TRAIN, **flags, model_dir=models["plain"], teacher_model_dir=models[model],
            output_dir=tmp_path / "out",
        )  # fmt: skip


def write_pairs(path, name):
    """Training rows in the layout of `name`: cola, rte or sst-2."""
    texts, labels = tiny.sentences(16)
    names = get_task(name).labels
    if name == "cola":
        rows = [("x", names[i], "", t) for t, i in zip(texts, labels, strict=True)]
    elif name == "sst-2":
        rows = [("sentence", "label"), *((t, names[i]) for t, i in zip(texts, labels, strict=True))]
    else:
        header = ("index", "sentence1", "sentence2", "label")
        rows = [header, *((0, t, t, names[i]) for t, i in zip(texts, labels, strict=True))]
    return tiny.write_rows(path, rows)


@pytest.mark.parametrize(
    ("model", "flags", "expected"),
    [
        ("three", {}, "neutral, pos"),
        ("score", {"labels": "neg,pos"}, "a score"),
        ("words", {"regression": True}, "labels neg, pos"),
        ("sst-2", {"numbers": True}, "task sst-2 with 2 outputs"),
        ("sst-2", {"task_name": "cola"}, "task sst-2 with 2 outputs"),
        ("tags", {}, "2 outputs of words"),
    ],
    ids=str,
)
def test_training_starts_another_head_anew(models, rows, tmp_path, caplog, model, flags, expected):
    kind = "numbers" if flags.pop("numbers", False) else "words"
    given = flags_of(rows, flags, "train")
    if kind == "numbers":
        given["train_file"] = rows["numbers"]
    if "task_name" in flags:
        write_pairs(tmp_path / "data" / "train.tsv", "cola")
        given["data_dir"] = tmp_path / "data"
    tiny.run(**STILL, **given, model_dir=models[model], output_dir=tmp_path / "out")
    assert f"{expected}" in caplog.text and ": a new one is trained" in caplog.text
    found = head_of(tmp_path / "out")
    assert np.abs(found[:, :16]).max() < 0.1  # the initialiser's, not the model's
    labels = task_of(tmp_path / "out")["labels"]
    assert labels == (None if flags.get("regression") else list(get_task("cola").labels)
                      if kind == "numbers" or "task_name" in flags else ["neg", "pos"])  # fmt: skip
    assert len(found) == len(labels or [1])


@pytest.mark.parametrize(
    ("model", "flags", "kind", "note"),
    [
        ("words", {"labels": "pos,neg"}, "words", None),
        ("words", {}, "words", None),
        ("bare", {"labels": "pos,neg"}, "words", "nothing names the outputs"),
        ("sentiment", {}, "numbers", "NEGATIVE = 0, POSITIVE = 1"),
        ("score", {}, "scores", None),
    ],
    ids=str,
)
def test_training_goes_on_with_its_own_head(
    models, rows, tmp_path, caplog, model, flags, kind, note
):
    tiny.run(
        **STILL, **own(rows, kind, "train"), **flags, model_dir=models[model],
        output_dir=tmp_path / "out",
    )  # fmt: skip
    assert "a new one is trained" not in caplog.text
    assert (note or "") in caplog.text
    source = models["words" if model == "sentiment" else model]
    turned = model == "words" and "labels" in flags
    expected = head_of(source)[::-1] if turned else head_of(source)
    np.testing.assert_allclose(head_of(tmp_path / "out"), expected, atol=1e-5)


def test_a_resumed_run_keeps_its_labels(models, rows, tmp_path):
    flags = {**TRAIN, **own(rows, "words", "train"), "output_dir": tmp_path}
    tiny.run(**flags, model_dir=models["plain"], labels="neg,pos")
    for labels in ("pos,neg", "neg,pos,neutral"):
        with pytest.raises(UserError, match=r"has labels=\['neg', 'pos'\], this command"):
            tiny.run(**flags, model_dir=models["plain"], labels=labels)
    assert tiny.run(**flags, model_dir=models["plain"])["global_step"] == 2


def test_what_is_saved_names_the_labels_of_the_run(models, rows, tmp_path):
    theirs = hugging_face(tmp_path / "hf", models["three"])
    flags = {**STILL, **own(rows, "words", "train"), "model_dir": theirs}
    tiny.run(**flags, output_dir=tmp_path / "out")
    config = json.loads((tmp_path / "out" / "bert_config.json").read_text())
    assert not {"id2label", "label2id", "architectures", "problem_type"} & set(config)
    found = hugging_face(tmp_path / "again", tmp_path / "out")
    config = json.loads((found / "config.json").read_text())
    assert config["id2label"] == {"0": "neg", "1": "pos"}
    assert config["label2id"] == {"neg": 0, "pos": 1}
    assert config["problem_type"] == "single_label_classification"
    assert config["architectures"] == ["BertForSequenceClassification"]
    tensors = safetensors.numpy.load_file(found / "model.safetensors")
    np.testing.assert_array_equal(tensors["classifier.bias"], head_of(tmp_path / "out")[:, 16])


def test_tfrecords_hold_positions_in_the_labels_they_were_written_with(models, rows, tmp_path):
    flags = {**TRAIN, **own(rows, "words", "train"), "model_dir": models["plain"]}
    tiny.run(**flags, write_tfrecord=True, labels="pos,neg", output_dir=tmp_path / "a")
    flags = {**flags, "tfrecord_dir": tmp_path / "a"}
    del flags["train_file"]
    with pytest.raises(UserError, match=r"task\.json: the label_ids .* \(labels pos, neg\), and "):
        tiny.run(**flags, labels="neg,pos", output_dir=tmp_path / "b")
    tiny.run(**flags, labels="pos,neg", output_dir=tmp_path / "b")
    np.testing.assert_allclose(head_of(tmp_path / "b"), head_of(tmp_path / "a"), atol=1e-6)


def test_calibration_takes_the_gradients_of_the_right_labels(models, rows, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        calibration,
        "collect",
        lambda _config, arrays, store, *_: seen.append((arrays, store.labels)),
    )

    def call(model, method="two_sided", **flags):
        flags = {k: str(v) for k, v in {**own(rows, "words", "train"), **flags}.items()}
        calibration.statistics_of_task(load_model(models[model]), method, flags, max_seq_length=16)

    for labels in ("neg,pos", "pos,neg"):
        call("words", labels=labels)
    (first, labels), (second, other) = seen
    np.testing.assert_array_equal(first["output_bias"], second["output_bias"][::-1])
    np.testing.assert_array_equal(labels, 1 - other)
    with pytest.raises(UserError, match=r"sst-2 .* give the model fine-tuned on it, or --method"):
        call("sst-2")
    call("sst-2", "whitened")
    assert "output_bias" not in seen[-1][0]


def test_the_numbers_of_an_official_task_are_predicted_for_own_files(
    models, rows, tmp_path, caplog
):
    flags = own(rows, "numbers", "dev", "test")
    tiny.run(
        do_eval=True, do_predict=True, **flags, max_seq_length=16, model_dir=models["sst-2"],
        output_dir=tmp_path,
    )  # fmt: skip
    assert "trained for task sst-2 with 2 outputs (labels 0, 1): assumed to mean" in caplog.text
    assert set(answers(tmp_path)) <= {"0", "1"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": ["neg", "neutral", "pos"]}, r"task\.json: labels must be 2 different names"),
        ({"labels": None}, r"task\.json: labels must be 2 different names, .* \(null is for one"),
        ({"task_name": "sst-2"}, r"task\.json: the labels of task sst-2 are \['0', '1'\], found"),
        ({"task_name": "snips"}, r"task\.json: task_name 'snips' is an unknown task"),
        ({"task_name": 5}, "--task_name is required"),
    ],
    ids=str,
)
def test_a_broken_task_file_is_named(rows, tmp_path, changes, expected):
    model = tiny.make_classifier(tmp_path / "m", ["neg", "pos"])
    (model / "task.json").write_text(json.dumps({**task_of(model), **changes}))
    flags = {"do_predict": True, "model_dir": model, "output_dir": tmp_path / "out"}
    official = changes.get("task_name") in ("sst-2", "snips")
    flags |= {"data_dir": tmp_path} if official else {"test_file": rows["words"]}
    with pytest.raises(UserError, match=expected):
        tiny.run(**flags)


def test_columns_are_found_by_name_in_each_file(models, tmp_path):
    """The files of a task may differ in the order of their columns, not in their names."""
    texts, labels = tiny.sentences(8)
    names = [("neg", "pos")[i] for i in labels]
    tiny.write_rows(tmp_path / "a.tsv", [("text", "label"), *zip(texts, names, strict=True)])
    tiny.write_rows(
        tmp_path / "b.tsv", [("label", "x", "text"), *zip(names, names, texts, strict=True)]
    )
    tiny.write_rows(tmp_path / "c.tsv", [("review", "label"), *zip(texts, names, strict=True)])
    flags = {"do_eval": True, "max_seq_length": 16, "model_dir": models["words"]}
    found = [
        tiny.run(**flags, dev_file=tmp_path / f"{x}.tsv", output_dir=tmp_path / x)["metrics"]
        for x in "ab"
    ]
    assert found[0] == found[1]
    with pytest.raises(UserError, match=r"c\.tsv:1: no column 'text' .* found 'review', 'label'"):
        tiny.run(**flags, dev_file=tmp_path / "c.tsv", output_dir=tmp_path / "c")
    tiny.write_rows(tmp_path / "d" / "train.tsv", [("sentence", "label"), ("good", "1")])
    tiny.write_rows(tmp_path / "e" / "train.tsv", [("label", "sentence"), ("1", "good")])
    one, other = (get_task("sst-2").read(tmp_path / x, "train") for x in "de")
    assert (one.text_a, one.labels) == (other.text_a, other.labels)


def test_flags_take_back_what_a_model_was_fine_tuned_with(models, rows, tmp_path):
    """Its score by --regression=false, its second text by an empty --text_pair_column."""
    flags = {**STILL, **own(rows, "numbers", "train")}
    tiny.run(**flags, regression=False, model_dir=models["score"], output_dir=tmp_path / "a")
    assert task_of(tmp_path / "a")["labels"] == ["0", "1"]
    task = {"task_name": "custom", **COLUMNS, "text_pair_column": "second"}
    pairs = tiny.make_classifier(tmp_path / "pairs", ["0", "1"], task)
    tiny.run(**flags, text_pair_column="", model_dir=pairs, output_dir=tmp_path / "b")
    assert task_of(tmp_path / "b")["text_pair_column"] is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_seq_length": "16"}, "max_seq_length must be a whole number, found '16': correct"),
        ({"max_seq_length": None}, "max_seq_length must be a whole number, found None"),
        ({"do_lower_case": "false"}, "do_lower_case must be true, false or null, found 'false'"),
        ({"task_name": "xnli", "language": 5}, "xnli_language=5: expected a two-letter code"),
    ],
    ids=str,
)
def test_a_task_file_with_values_of_another_type(tmp_path, rows, changes, expected):
    model = tiny.make_classifier(tmp_path / "m", ["neg", "pos"])
    (model / "task.json").write_text(json.dumps({**task_of(model), **changes}))
    data = {"dev_file": rows["words"]}
    if "language" in changes:
        data = {"data_dir": tmp_path}
    with pytest.raises(UserError, match=expected):
        tiny.run(do_eval=True, **data, model_dir=model, output_dir=tmp_path / "out")


def test_models_whose_tables_are_too_small_for_the_examples(tmp_path, rows):
    texts, labels = tiny.sentences(8)
    triples = [(t, ("neg", "pos")[i], t) for t, i in zip(texts, labels, strict=True)]
    pairs = tiny.write_rows(tmp_path / "pairs.tsv", [("text", "label", "second"), *triples])
    single = own(rows, "words", "train")
    double = {**single, "train_file": pairs, "text_pair_column": "second"}
    plain = tiny.make_model(tmp_path / "plain")
    one = tiny.make_classifier(tmp_path / "one", ["neg", "pos"], type_vocab_size=1)
    short = tiny.make_classifier(tmp_path / "short", ["neg", "pos"], max_position_embeddings=4)
    for flags, expected in (
        ({**double, "model_dir": one}, "knows single texts only .type_vocab_size 1"),
        ({**double, "model_dir": plain, "teacher_model_dir": one}, "has type_vocab_size 1, the r"),
        ({**single, "model_dir": plain, "teacher_model_dir": short}, "has max_position_embeddings"),
    ):
        with pytest.raises(UserError, match=expected):
            tiny.run(**{**TRAIN, **flags}, output_dir=tmp_path / "out")
    tiny.run(**TRAIN, **single, model_dir=one, output_dir=tmp_path / "single")
