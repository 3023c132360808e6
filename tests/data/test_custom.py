import json

import pytest

from bert_tf.data.tasks import custom_task, task_from_json
from bert_tf.errors import UserError

ROWS = [("good, really", "x", "pos"), ('a "bad" one', "y", "neg"), ("fine", "z", "pos")]


def write(folder, kind, rows=ROWS, header=("text", "other", "label")):
    path = folder / f"data.{kind}"
    if kind == "jsonl":
        text = "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)
    elif kind == "tsv":
        text = "".join("\t".join(row) + "\n" for row in [header, *rows])
    else:
        quoted = [['"' + v.replace('"', '""') + '"' for v in row] for row in [header, *rows]]
        text = "".join(",".join(row) + "\n" for row in quoted)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_named_columns(tmp_path, kind):
    task = custom_task(
        write(tmp_path, kind), text_column="text", text_pair_column="other", label_column="label"
    )
    assert task.labels == ("neg", "pos")
    examples = task.read(None, "train")
    assert examples.text_a == [row[0] for row in ROWS]
    assert examples.text_b == ["x", "y", "z"]
    assert examples.labels.tolist() == [1, 0, 1]


def test_numbered_columns_mean_no_header(tmp_path):
    (tmp_path / "a.csv").write_text("3,good\n10,bad\n3,fine\n")
    task = custom_task(tmp_path / "a.csv", text_column="1", label_column=0)
    assert task.labels == ("3", "10")  # integers are ordered by value
    assert task.read(None, "train").text_a == ["good", "bad", "fine"]
    assert task.read(None, "train").labels.tolist() == [0, 1, 0]


def test_given_labels_set_the_order_and_regression_takes_numbers(tmp_path):
    path = write(tmp_path, "csv")
    columns = {"text_column": "text", "label_column": "label"}
    task = custom_task(path, labels=["pos", " neg"], **columns)
    assert task.read(None, "train").labels.tolist() == [0, 1, 0]
    (tmp_path / "s.tsv").write_text("text\tlabel\na\t-1e3\nb\t2.5\n")
    task = custom_task(tmp_path / "s.tsv", regression=True, **columns)
    assert task.labels is None
    assert task.metrics[0] == "pearson"
    assert task.read(None, "train").labels.tolist() == [-1000.0, 2.5]


def test_test_files_need_no_label(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n')
    task = custom_task(
        test_file=tmp_path / "t.jsonl", text_column="text", label_column="label", labels=["0", "1"]
    )
    examples = task.read(None, "test")
    assert (examples.text_a, examples.labels) == (["a"], None)


def test_fine_tuned_folder_keeps_the_labels(tmp_path):
    path = write(tmp_path, "csv")
    task = custom_task(path, text_column="text", label_column="label", labels=["pos", "neg"])
    saved = json.loads(json.dumps(task.to_json()))
    restored = task_from_json(saved, dev_file=path)
    assert restored.labels == ("pos", "neg")
    assert restored.read(None, "dev").labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text_column": None}, "--text_column is required"),
        ({"label_column": None}, "--label_column is required"),
        ({"label_column": "stars"}, "data.csv:1: no column 'stars' in the header: found 'text'"),
        ({"text_column": "label"}, "--label_column=label: is the column of a text, too"),
        ({"label_column": "2"}, "give all by name or by number"),
        ({"labels": ["pos"]}, "--labels=pos: expected two or more different labels"),
        ({"labels": ["pos", "pos"]}, "--labels=pos,pos: expected two or more different"),
        ({"labels": ["pos", "bad"]}, "data.csv:3: unknown label 'neg', expected one of pos, bad"),
        ({"regression": True}, "data.csv:2: score 'pos', expected a finite number"),
        ({"train_file": None}, "--labels is required"),
        ({"train_file": None, "labels": ["a", "b"]}, "--train_file is required"),
    ],
)
def test_wrong_flags(tmp_path, arguments, message):
    arguments = {
        "train_file": write(tmp_path, "csv"),
        "text_column": "text",
        "label_column": "label",
        **arguments,
    }
    with pytest.raises(UserError, match=message):
        custom_task(**arguments).read(None, "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\tlabel\na\t1\nb\t1\n", "every row has the label '1'"),
        ("text\tlabel\na\t1\nb\t0\t2\n", "a.tsv:3: columns: found 3, expected 2 as in the header"),
        ("text\tlabel\na\t1\nb\n", "a.tsv:3: columns: found 1, expected 2"),
        ("text\tlabel\na\t1\n\nb\t0\n", "a.tsv:3: .*: the line is blank: delete it"),
        ("text;label\na, b;1\n", "found 'text;label': one column, separated by semicolons"),
        ("text\tlabel\n" + "".join(f"a\t{i}.5\n" for i in range(50)), "50 different labels"),
    ],
)
def test_wrong_training_files(tmp_path, content, message):
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(UserError, match=message):
        custom_task(tmp_path / "a.tsv", text_column="text", label_column="label")


def test_empty_cells_behind_the_last_column_do_not_count(tmp_path):
    columns = {"text_column": "text", "label_column": "label"}
    (tmp_path / "a.csv").write_text("text,label\na,1,,\nb,0,\n")
    examples = custom_task(tmp_path / "a.csv", **columns).read(None, "train")
    assert (examples.text_a, examples.labels.tolist()) == (["a", "b"], [1, 0])


@pytest.mark.parametrize("content", ["0,1\na b,1\nc,0\n", ",0\n0,a b\n1,c\n"])
def test_a_header_of_numbers_is_told(tmp_path, content, caplog):
    (tmp_path / "a.csv").write_text(content)
    task = custom_task(test_file=tmp_path / "a.csv", text_column=0, labels=["0", "1"])
    assert len(task.read(None, "test")) == 3
    assert "as pandas writes a header of columns without names" in caplog.text


def test_constant_training_labels_are_refused_even_if_labels_are_given(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\na\t1\nb\t1\n")
    columns = {"text_column": "text", "label_column": "label"}
    for options in ({"labels": ["0", "1"]}, {"regression": True}):
        with pytest.raises(UserError, match="every row has the label '1'"):
            custom_task(tmp_path / "a.tsv", **columns, **options).read(None, "train")
