"""Training rows and their variants: which are taken, what their labels are, and what is refused."""

import json
import logging as python_logging
import pathlib

import numpy as np
import pytest

from bert_tf.augmentation import output
from bert_tf.data.augmented import default_path, digest_of_rows, extended
from bert_tf.data.table import Table
from bert_tf.data.tasks import custom_task, get_task
from bert_tf.errors import UserError
from tests import tiny

HEADER = ["sentence", "label"]
ROWS = [["good film", "1"], ["bad film", "0"], ["a story", "1"]]
GROUPS = [
    [["good film", "0.5 2.5"], ["fine film", "-3.0 -1.0"], ["good plot", "10.2 9.1"]],
    [["bad film", "1 0"], ["dull film", "2 1"], ["good plot", "1 2"], ["good film", "0 1"]],
    [["a story", "0 1"]],
]


@pytest.fixture
def folder(tmp_path):
    return tiny.write_rows(tmp_path / "train.tsv", [HEADER, *ROWS]).parent


def write(folder, task, groups=GROUPS, teacher=True, header=HEADER, about=None):
    """Writes variants as augment_data.py does; returns the file."""
    examples = task.read(folder, "train")
    path = default_path(task, examples.source, teacher)
    about = {
        "task": task.to_json(),
        "teacher": {"digest": "x"} if teacher else None,
        "training_rows": digest_of_rows(examples, task),
        **(about or {}),
    }
    output.write(path, Table("train", header, [], []), "tsv", groups, about)
    return path


def read(folder, task, path=None, limit=None):
    return extended(task, task.read(folder, "train"), path, limit)


def test_rows_then_their_variants_each_text_once(folder):
    task = get_task("sst-2")
    write(folder, task)
    found = read(folder, task)
    assert found.text_a == [
        "good film", "bad film", "a story", "fine film", "good plot", "dull film",
    ]  # fmt: skip
    assert found.labels.tolist() == [1, 0, 1, 1, 0, 0]  # of numbers, not of their texts
    assert found.labels.dtype == np.int32 and len(found.ids) == 6 and found.text_b is None


@pytest.mark.parametrize(
    ("limit", "variants"),
    [(1, ["fine film", "good plot"]), (2, ["fine film", "good plot", "dull film"]), (9, None)],
)
def test_the_variants_of_the_first_rows(folder, limit, variants):
    task = get_task("sst-2")
    write(folder, task)
    found = read(folder, task, limit=limit)
    assert found.text_a[: min(limit, 3)] == [row[0] for row in ROWS[:limit]]
    if variants:
        assert found.text_a[limit:] == variants
    else:
        assert found.text_a == read(folder, task).text_a


def test_a_limit_of_the_variants_too(folder):
    task = get_task("sst-2")
    write(folder, task, groups=GROUPS[:1])
    assert len(read(folder, task)) == 5
    assert len(read(folder, task, limit=2)) == 4


def test_the_file_with_logits_goes_before_that_with_labels(folder):
    task = get_task("sst-2")
    labels = [[["good film", "1"], ["fine film", "1"]], [["bad film", "0"]], [["a story", "1"]]]
    write(folder, task, labels, teacher=False)
    assert read(folder, task).text_a[3:] == ["fine film"]
    write(folder, task)
    assert len(read(folder, task)) == 6
    assert len(read(folder, task, folder / "train_SST-2_aug.tsv")) == 4


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cola", "train_CoLA_aug.tsv"), ("mnli-mm", "train_MNLI_aug.tsv"),
        ("mrpc", "train_MRPC_aug.tsv"), ("sts-b", "train_STS-B_aug.tsv"),
        ("qqp", "train_QQP_aug.tsv"), ("ag", "train_AG_aug.tsv"),
    ],
)  # fmt: skip
def test_names(name, file):
    path = default_path(get_task(name), "data/train.tsv", False)
    assert path == pathlib.Path("data", file)
    custom = custom_task(text_column="t", labels=["a", "b"])
    assert default_path(custom, "d/x.csv", True) == pathlib.Path("d/x_aug_with_logits.csv")


def test_a_regression_takes_the_number(tmp_path):
    task = get_task("sts-b")
    header = ["index", "sentence1", "sentence2", "score"]
    rows = [["0", "a film", "a story", "2.5"], ["1", "it", "so", "5"]]
    tiny.write_rows(tmp_path / "train.tsv", [header, *rows])
    groups = [
        [rows[0], ["0", "a plot", "a story", "5.25"], ["0", "a film", "it", "-0.5"]],
        [rows[1]],
    ]
    write(tmp_path, task, groups, header=header)
    found = read(tmp_path, task)
    assert found.labels.tolist() == [2.5, 5.0, 5.25, -0.5] and found.labels.dtype == np.float32
    assert found.text_b == ["a story", "so", "a story", "it"]


def test_logits_go_by_the_names_of_their_labels(folder):
    columns = {"text_column": "sentence", "label_column": "label"}
    train = str(folder / "train.tsv")
    trained = custom_task(train, labels=["1", "0"], **columns)
    path = write(folder, trained)
    task = custom_task(train, labels=["0", "1"], **columns)
    assert read(folder, task, path).labels.tolist() == [1, 0, 1, 0, 1, 1]
    other = custom_task(train, labels=["0", "1", "2"], **columns)
    with pytest.raises(
        UserError, match=r"of labels \['1', '0'\], .* expected \['0', '1', '2'\]: run"
    ):
        read(folder, other, path)


def test_a_file_without_description(folder, caplog):
    task = get_task("sst-2")
    path = folder / "train_SST-2_aug_with_logits.tsv"
    tiny.write_rows(path, [HEADER, *(row for rows in GROUPS for row in rows)])
    with caplog.at_level(python_logging.WARNING, logger="absl"):
        found = read(folder, task)
    assert found.labels.tolist() == [1, 0, 1, 1, 0, 0]
    assert "nothing says in which order its logits are: taken as 0, 1" in caplog.text
    with pytest.raises(UserError, match=r"aug_with_logits.tsv.json is missing, .* --max_train_ex"):
        read(folder, task, limit=1)
    tiny.write_rows(path, [HEADER, *ROWS, ["fine film", "0"]])
    assert read(folder, task).labels.tolist() == [1, 0, 1, 0]
    tiny.write_rows(path, [HEADER, ["fine film", "0 1 2"]])
    with pytest.raises(UserError, match=r"tsv:2: found '0 1 2', expected 2 finite numbers"):
        read(folder, task)
    tiny.write_rows(path, [["text", "label"], ["fine film", "0 1"]])
    with pytest.raises(UserError, match=r"tsv:1: no column 'sentence' in the header"):
        read(folder, task)


@pytest.mark.parametrize(
    ("cell", "row"), [("1", 0), ("1 2 3", 1), ("1 nan", 0), ("inf 1", 1), ("1 x", 1), ("", 0)]
)
def test_cells_that_are_no_logits(folder, cell, row):
    task = get_task("sst-2")
    rows = [["good film", "0 1"], ["fine film", "0 1"]]
    rows[row][1] = cell
    write(folder, task, [rows])
    where = rf"aug_with_logits.tsv:{row + 2}: found {cell!r}, expected 2 finite numbers"
    with pytest.raises(UserError, match=f"{where}, the logits of 0, 1: run augment_data.py again"):
        read(folder, task)


def test_labels_that_are_none(folder):
    task = get_task("sst-2")
    write(folder, task, [[["good film", "1"], ["fine film", "good"]]], teacher=False)
    with pytest.raises(UserError, match=r"aug.tsv:3: unknown label 'good', expected one of 0, 1"):
        read(folder, task)


def test_what_is_not_there(folder, tmp_path):
    task = get_task("sst-2")
    with pytest.raises(
        UserError, match=r"^--data_aug: no .*with_logits.tsv and no .*_aug.tsv besi"
    ):
        read(folder, task)
    with pytest.raises(UserError, match=r"^--augmented_file=.*no.tsv: no such file: run augment_d"):
        read(folder, task, tmp_path / "no.tsv")


def test_a_file_of_something_else(folder):
    task = get_task("sst-2")
    path = write(folder, task, about={"task": {"task_name": "cola", "labels": ["0", "1"]}})
    with pytest.raises(
        UserError, match=r"holds rows of task cola, .* expected task sst-2: name ano"
    ):
        read(folder, task)
    write(folder, task)
    path.write_text(path.read_text().replace("fine", "nice"))
    with pytest.raises(
        UserError, match=r"is not the file that .*tsv.json describes: it was changed"
    ):
        read(folder, task)
    write(folder, task, [*GROUPS, [["a plot", "0 1"]]])
    place = pathlib.Path(f"{path}.json")
    about = json.loads(place.read_text())
    place.write_text(json.dumps({**about, "rows": "3 4 1"}))
    with pytest.raises(
        UserError, match=r"has 9 rows, and .*tsv.json counts 8: run augment_data.py"
    ):
        read(folder, task)
    place.write_text(json.dumps({**about, "format": 2}))
    with pytest.raises(UserError, match=r"tsv.json: expected the description of augmented rows"):
        read(folder, task)


@pytest.mark.parametrize("change", ["text", "label", "more"])
def test_a_training_file_that_has_changed_since(folder, change):
    task = get_task("sst-2")
    write(folder, task)
    rows = [list(row) for row in ROWS]
    if change == "text":
        rows[2][0] = "a plot"
    elif change == "label":
        rows[2][1] = "0"
    else:
        rows.append(["so", "0"])
    tiny.write_rows(folder / "train.tsv", [HEADER, *rows])
    with pytest.raises(
        UserError, match=r"other training rows than those in .*train.tsv, which have"
    ):
        read(folder, task, limit=1)
