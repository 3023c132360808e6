"""Classes out of a training file: never an empty one, a header, or one class twice."""

import numpy as np
import pytest

from bert_tf.data import class_labels
from bert_tf.data.tasks import custom_task, get_task
from bert_tf.errors import UserError

NAMED = {"text_column": "text", "label_column": "label"}
NUMBERED = {"text_column": "1", "label_column": "0"}


def write(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("empty", ["", " ", "\u3000", "\t"])
@pytest.mark.parametrize("labels", [None, ["neg", "pos"]])
def test_a_row_without_label_is_named(tmp_path, empty, labels):
    path = write(tmp_path / "a.csv", f'text,label\na,pos\nb,neg\nc,"{empty}"\nd,pos\n')
    with pytest.raises(
        UserError, match=r"a\.csv:4: .*column 'label' is empty.*fill it in or delete"
    ):
        custom_task(path, **NAMED, labels=labels).read(None, "train")


@pytest.mark.parametrize("rows", [",\n,\n", ",,\n", ", \n\n,\n"])
def test_empty_rows_below_the_table_are_left_out_and_counted(tmp_path, rows, caplog):
    path = write(tmp_path / "a.csv", "text,label\na,pos\nb,neg\n" + rows)
    task = custom_task(path, **NAMED)
    assert task.labels == ("neg", "pos")
    assert task.read(None, "train").text_a == ["a", "b"]
    assert " left out, the first in line 4" in caplog.text


def test_empty_rows_of_a_test_file_are_answered(tmp_path):
    path = write(tmp_path / "a.csv", "text,x\na,1\n,\nb,2\n")
    task = custom_task(test_file=path, text_column="text", labels=["0", "1"])
    assert task.read(None, "test").text_a == ["a", "", "b"]


def test_empty_rows_of_a_glue_file(tmp_path):
    write(tmp_path / "train.tsv", "sentence\tlabel\na\t1\nb\t0\n\t\n")
    assert len(get_task("sst-2").read(tmp_path, "train")) == 2
    write(tmp_path / "train.tsv", "sentence\tlabel\na\t1\nb\t \n")
    with pytest.raises(
        UserError, match=r"train\.tsv:3: unknown label ' '.*column 'label' is empty"
    ):
        get_task("sst-2").read(tmp_path, "train")


@pytest.mark.parametrize("mark", ["-", "NaN", "nan", "null", "<NA>", "#N/A"])
def test_marks_of_missing_labels_are_no_class_unless_named(tmp_path, mark):
    path = write(tmp_path / "a.tsv", f"text\tlabel\na\tpos\nb\tneg\nc\t{mark}\nd\t{mark}\n")
    with pytest.raises(UserError, match=r"a\.tsv:4: column 'label' is .*delete the 2 rows"):
        custom_task(path, **NAMED)
    with pytest.raises(UserError, match=r"a\.tsv:4: unknown label .*has no label there: delete"):
        custom_task(dev_file=path, **NAMED, labels=["pos", "neg"]).read(None, "dev")
    task = custom_task(path, **NAMED, labels=["pos", "neg", mark])
    assert task.read(None, "train").labels.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(
    "rows",
    [
        "label,text\n1,a\n0,b\n1,c\n",
        "label,text\n1,a\n0,b\n",  # no label twice, but all others are numbers
        "stance,text\nfor,a\nfor,b\nagainst,c\n",
        "label,text\n1,a\n1,b\n",
    ],
)
def test_a_header_under_numbered_columns_is_no_class(tmp_path, rows):
    with pytest.raises(UserError, match=r"a\.csv:1: found the label '\w+', .*give the columns by"):
        custom_task(write(tmp_path / "a.csv", rows), **NUMBERED)


def test_a_first_row_of_a_rare_class_can_be_named(tmp_path):
    path = write(tmp_path / "a.csv", "rare,a\nfor,b\nfor,c\nagainst,d\n")
    task = custom_task(path, **NUMBERED, labels=["rare", "for", "against"])
    assert task.read(None, "train").labels.tolist() == [0, 1, 1, 2]
    assert custom_task(write(path, "x,a\ny,b\nz,c\n"), **NUMBERED).labels == ("x", "y", "z")


@pytest.mark.parametrize(
    ("columns", "split", "rows", "found"),
    [
        (NUMBERED, "dev", "label,text\n1,a\n0,b\n", "'label'"),
        (NUMBERED, "test", "label,text\n1,a\n0,b\n", "'label'"),
        ({"text_column": "1", "id_column": "0"}, "test", "id,text\n3,a\n5,b\n", "'id'"),
    ],
)
def test_a_header_in_files_to_evaluate_and_predict(tmp_path, columns, split, rows, found):
    path = write(tmp_path / "a.csv", rows)
    task = custom_task(**{f"{split}_file": path}, **columns, labels=["0", "1"])
    with pytest.raises(UserError, match=rf"a\.csv:1: found {found}.* is the line a header\?"):
        task.read(None, split)


def test_a_header_above_texts_alone_is_worth_a_warning(tmp_path, caplog):
    path = write(tmp_path / "a.csv", "text\na film\nits plot\n")
    task = custom_task(test_file=path, text_column="0", labels=["0", "1"])
    assert len(task.read(None, "test")) == 3
    assert "line 1 has the text 'text': is the line a header?" in caplog.text


def test_a_header_in_a_document_set_to_predict(tmp_path):
    path = write(tmp_path / "test.csv", "Class Index,Title,Description\n3,a,b\n4,c,d\n")
    with pytest.raises(UserError, match=r"test\.csv:1: found 'Class Index'.*is it a header\?"):
        get_task("ag").read(path.parent, "test")


@pytest.mark.parametrize(
    ("first", "second"),
    [("1", "1.0"), ("1", "01"), ("Pos", "pos"), ("a  b", "a b"), ("é", "e\u0301")],
)
def test_one_class_written_in_two_ways(tmp_path, first, second):
    path = write(tmp_path / "a.tsv", f"text\tlabel\na\t{first}\nb\tother\nc\t{second}\n")
    with pytest.raises(
        UserError, match=r"a\.tsv:4: label .* in line 2: write one class in one way"
    ):
        custom_task(path, **NAMED)


def test_a_label_in_another_form_in_the_dev_file(tmp_path):
    train = write(tmp_path / "a.csv", "text,label\na,1\nb, 0\n")
    dev = write(tmp_path / "b.csv", "text,label\na, 1\nb,1.0\n")
    task = custom_task(train, dev, **NAMED)
    with pytest.raises(UserError, match=r"b\.csv:3: unknown label '1\.0', expected one of 0, 1"):
        task.read(None, "dev")


@pytest.mark.parametrize("score", ["", " ", "nan", "inf", "-Infinity", "1e39", "1_000", "1,5"])
def test_scores_that_are_no_numbers(tmp_path, score):
    path = write(tmp_path / "a.tsv", f"text\tlabel\na\t1\nb\t{score}\nc\t2\n")
    with pytest.raises(UserError, match=r"a\.tsv:3: score '.*', expected a finite number"):
        custom_task(path, **NAMED, regression=True).read(None, "train")


def test_numbers_that_json_has_not(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": NaN}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:2: not valid JSON: NaN"):
        custom_task(path, **NAMED)


def test_keys_of_json_lines_may_be_numbers(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"0": "x", "1": "a"}\n{"0": "y", "1": "b"}\n')
    assert custom_task(path, **NUMBERED).read(None, "train").text_a == ["a", "b"]


def test_labels_with_an_empty_name(tmp_path):
    path = write(tmp_path / "a.tsv", "text\tlabel\na\t1\nb\t0\n")
    with pytest.raises(
        UserError, match=r"--labels=0,,1: expected two or more .* none of them empty"
    ):
        custom_task(path, **NAMED, labels=["0", "", "1"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text;label\na;1\n", "one column, separated by semicolons"),
        ("a.csv", "text\tlabel\na\t1\n", "one column, separated by tabs"),
        ("a.tsv", "text,label\na,1\n", "one column, separated by commas"),
        ("a.csv", "text,label\ra,1\r", r"a\.csv:1: lines end in CR alone, expected LF or CRLF"),
    ],
)
def test_other_separators_are_named(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        custom_task(write(tmp_path / name, content), **NAMED)
    with pytest.raises(UserError, match=message):
        custom_task(write(tmp_path / name, content), text_column=0, label_column=1)


def test_other_separators_in_texts_alone_are_worth_a_warning(tmp_path, caplog):
    path = write(tmp_path / "a.csv", "good film;x\nbad film;y\n")
    custom_task(test_file=path, text_column="0", labels=["0", "1"]).read(None, "test")
    assert "has as many semicolons: do they separate columns?" in caplog.text


def test_counts_of_the_classes_are_logged(caplog):
    caplog.set_level("INFO", logger="absl")
    dev = {"dev": np.array([0, 0]), "dev_mismatched": np.array([0, 1, 2, 3])}
    class_labels.report(("a", "b", "c", "d"), np.array([0, 0, 1, 2, 2]), dev)
    assert [record.getMessage() for record in caplog.records] == [
        "5 training examples: 'a' 2, 'b' 1, 'c' 2, 'd' 0",
        "classes without a training example: 'd'",
        "classes of one training example: are they mistakes?: 'b'",
        "classes that dev has no example of: 'b', 'c', 'd'",
    ]


def test_many_classes_are_cut_in_the_log(caplog):
    caplog.set_level("INFO", logger="absl")
    class_labels.report(tuple(map(str, range(30))), np.repeat(np.arange(30), 2), {})
    assert caplog.records[0].getMessage().endswith("'19' 2, and 10 more")
