"""Predictions from the command line to their files: each row's answer is under its own number."""

import csv
import json

import numpy as np
import pytest

from bert_tf.classification.job import ClassificationJob
from bert_tf.errors import UserError
from bert_tf.finetuning import job
from tests import tiny

TRAIN = {
    "do_train": True, "max_seq_length": 16, "train_batch_size": 8, "num_train_epochs": 1.0,
    "task_name": "custom", "text_column": "text", "label_column": "label",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions")


@pytest.fixture(scope="module")
def trained(folder):
    """The folder of a model that was fine-tuned on a custom task with ids."""
    texts, labels = tiny.sentences(24)
    names = [("no", "yes, indeed")[label] for label in labels]
    rows = zip(range(24), texts, names, strict=True)
    train = tiny.write_rows(folder / "train.tsv", [("key", "text", "label"), *rows])
    tiny.run(
        **TRAIN, id_column="key", train_file=train, model_dir=tiny.make_model(folder / "model"),
        output_dir=folder / "run",
    )  # fmt: skip
    return folder / "run"


def predictions(folder):
    with open(folder / "test_results_labels.tsv", encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def predict(model, path, output, **flags):
    tiny.run(do_predict=True, model_dir=model, test_file=path, output_dir=output, **flags)
    return predictions(output)


HOSTILE = [
    ("a-1", 'the "good" film'),
    ("7", "a bad\nstory"),
    ("a\tb", ""),
    ('"q"', "nice,\u2028very\x85nice"),
    ("7b", "so\r dull"),
]


def write(path, rows):
    if path.suffix == ".jsonl":
        text = "".join(json.dumps({"key": k, "text": t}) + "\n" for k, t in rows)
        path.write_text(text, encoding="utf-8")
        return path
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f, delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        out.writerows([("key", "text"), *rows])
    return path


def test_ids_and_lines_of_any_file(trained, tmp_path):
    found = {}
    for kind in ("csv", "tsv", "jsonl"):
        path = write(tmp_path / f"test.{kind}", HOSTILE)
        rows = predict(trained, path, tmp_path / kind)
        assert [row["index"] for row in rows] == [key for key, _ in HOSTILE]
        lines = [1, 2, 3, 4, 5] if kind == "jsonl" else [2, 3, 5, 6, 7]
        assert [row["line"] for row in rows] == [str(line) for line in lines]
        found[kind] = (tmp_path / kind / "test_results.tsv").read_text()
        assert len(found[kind].splitlines()) == len(HOSTILE)
    assert found["csv"] == found["tsv"] == found["jsonl"]
    for i, row in enumerate(HOSTILE):
        alone = predict(trained, write(tmp_path / "one.csv", [row]), tmp_path / f"one-{i}")
        assert alone[0]["prediction"] == rows[i]["prediction"]


def test_rows_without_ids_are_numbered(trained, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("text\ngood film\n\nbad film\n")
    with pytest.raises(UserError, match=r"test\.csv:1: no column 'key' .* or an empty one"):
        predict(trained, path, tmp_path / "out")
    rows = predict(trained, path, tmp_path / "out", id_column="")
    assert [(row["index"], row["line"]) for row in rows] == [("0", "2"), ("1", "3"), ("2", "4")]


def test_the_model_folder_records_the_column(trained):
    assert json.loads((trained / "task.json").read_text())["id_column"] == "key"


def test_ids_that_are_missing_or_there_twice(trained, tmp_path, caplog):
    path = write(tmp_path / "test.csv", [("a", "good"), ("", "bad")])
    with pytest.raises(
        UserError, match=r"test\.csv:3: column 'key' is empty, expected the row's id"
    ):
        predict(trained, path, tmp_path / "out")
    write(path, [("a", "good"), ("b", "bad"), ("a", "film")])
    assert len(predict(trained, path, tmp_path / "out")) == 3
    assert "1 row has the id of a row before, such as 'a' in lines 2 and 4" in caplog.text


def test_a_task_names_its_rows_as_its_file_does(folder, trained, tmp_path):
    data = tiny.make_mnli(folder / "mnli")
    for split in ("test_matched", "test_mismatched"):
        path = data / f"{split}.tsv"
        lines = path.read_text().splitlines()
        rows = [line.split("\t", 1) for line in lines[1:]]
        ids = [f"{7 * i + 3}" for i in range(len(rows))]
        path.write_text(
            lines[0] + "\n" + "".join(f"{i}\t{r[1]}\n" for i, r in zip(ids, rows, strict=True))
        )
    flags = {**TRAIN, "task_name": "mnli", "data_dir": data, "model_dir": folder / "model"}
    flags |= {"train_batch_size": 18}
    del flags["text_column"], flags["label_column"]
    tiny.run(**flags, do_predict=True, write_tfrecord=True, output_dir=tmp_path / "run")
    expected = predictions(tmp_path / "run")
    assert [row["index"] for row in expected] == [f"{7 * i + 3}" for i in range(len(expected))]
    assert [row["line"] for row in expected] == [str(i + 2) for i in range(len(expected))]
    tiny.run(
        do_predict=True, tfrecord_dir=tmp_path / "run", model_dir=tmp_path / "run",
        output_dir=tmp_path / "records",
    )  # fmt: skip
    found = predictions(tmp_path / "records")
    assert list(found[0]) == ["index", "prediction"]
    assert [row["index"] for row in found] == [str(i) for i in range(len(expected))]
    assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]
    np.testing.assert_array_equal(
        np.loadtxt(tmp_path / "records" / "test_results.tsv"),
        np.loadtxt(tmp_path / "run" / "test_results.tsv"),
    )


def test_every_training_logs_its_classes(folder, trained, tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    flags = {**TRAIN, "task_name": "sst-2", "model_dir": folder / "model"}
    del flags["text_column"], flags["label_column"]
    data = {"data_dir": tiny.make_sst2(tmp_path / "data"), "write_tfrecord": True}
    for source in (data, {"tfrecord_dir": tmp_path / "run"}):
        caplog.clear()
        options = tiny.options(**flags, **source, output_dir=tmp_path / "run")
        job.prepare(ClassificationJob, options, *job.start(options))
        assert "40 training examples: '0' 20, '1' 20" in caplog.text
