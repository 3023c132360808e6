"""Rows broken by line ends: joined where that is certain, else no row loses its number."""

import pytest

from bert_tf.data.broken_rows import mend
from bert_tf.data.table import Table
from bert_tf.data.tasks import custom_task, get_task
from bert_tf.errors import UserError

QQP = "id\tquestion1\tquestion2"
TRAIN = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"


def write(path, *lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def rows(*names):
    return [f"{name}\tq{name}\tr{name}" for name in names]


def test_a_row_broken_in_its_middle_is_joined_with_a_space(tmp_path, caplog):
    write(tmp_path / "test.tsv", QQP, *rows(7, 9), "11\tfirst half", "of it\tother", *rows(12))
    examples = get_task("qqp").read(tmp_path, "test")
    assert examples.ids == ["7", "9", "11", "12"]
    assert list(examples.lines) == [2, 3, 4, 6]
    assert (examples.text_a[2], examples.text_b[2]) == ("first half of it", "other")
    assert (
        "test.tsv: 1 row broken by a line end in a text, now joined with a space: lines 4-5"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["11\tlost its end"], 4),
        (["11\tq\tfirst half", "second half"], 5),
        (["11\tq", "12\tq"], 4),  # two rows that lost their ends
        (["11", "12\tq\tr"], 4),
        (["11\ta", "b\tc", "d\te"], 4),
        (["11\ta", "b\tc", "d"], 4),
        (["11\ta\tb\tafter a tab"], 4),
        ([""], 4),
    ],
)
def test_what_cannot_be_joined_for_certain_is_an_error_in_a_test_file(tmp_path, lines, number):
    write(tmp_path / "test.tsv", QQP, *rows(7, 9), *lines, *rows(13, 14))
    with pytest.raises(UserError) as error:
        get_task("qqp").read(tmp_path, "test")
    assert str(error.value).startswith(f"{tmp_path / 'test.tsv'}:{number}: found ")
    assert ": a line end or a tab inside a text?" in str(error.value)


def test_training_files_skip_what_cannot_be_joined(tmp_path, caplog):
    whole = [f"{i}\t1\t2\tq{i}\tr{i}\t{i % 2}" for i in range(200)]
    parts = ["300\t1\t2\tfirst", "half\tr\t1"]
    write(tmp_path / "train.tsv", TRAIN, *whole[:100], *parts, whole[100], "lost", *whole[101:])
    examples = get_task("qqp").read(tmp_path, "train")
    assert len(examples) == 201
    assert examples.text_a[100] == "first half"
    assert "1 row of fewer than 6 columns left out, the first in line 105" in caplog.text


@pytest.mark.parametrize("task", ["rte", "mrpc", "qnli", "sts-b", "sst-2", "cola", "mnli"])
def test_every_task_answers_all_rows_or_names_the_line(tmp_path, task):
    """A line end in each place of the texts of a test file in turn."""
    headers = {
        "rte": "index\tsentence1\tsentence2", "qnli": "index\tquestion\tsentence",
        "mrpc": "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
        "sts-b": "index\tgenre\tsentence1\tsentence2\tsource", "sst-2": "index\tsentence",
        "cola": "index\tsentence", "mnli": "index\tgenre\tsentence1\tsentence2",
    }  # fmt: skip
    names = headers[task].split("\t")
    texts = [
        i for i, name in enumerate(names) if "entence" in name or "ring" in name or "que" in name
    ]
    split = get_task(task).test_splits[0]
    for column in texts:
        table = [[f"{i}"] + [f"{name} of {i}" for name in names[1:]] for i in range(4)]
        table[2][column] = table[2][column].replace(" of ", "\n")
        write(tmp_path / f"{split}.tsv", headers[task], *map("\t".join, table))
        try:
            examples = get_task(task).read(tmp_path, split)
        except UserError as e:
            assert f"{split}.tsv:" in str(e)
        else:
            assert examples.ids == ["0", "1", "2", "3"]
            joined = (examples.text_a, examples.text_b)[texts.index(column)]
            assert joined[2] == f"{names[column]} 2"


def test_own_tables_are_joined_too(tmp_path):
    path = write(tmp_path / "a.tsv", "n\ttext\tx", "1\tone\ty", "2\ttwo", "and\t", "3\tthree\tz")
    task = custom_task(test_file=path, text_column="text", id_column="n", labels=["a", "b"])
    examples = task.read(None, "test")
    assert (examples.ids, examples.text_a) == (["1", "2", "3"], ["one", "two and", "three"])


def test_documents_are_joined_too(tmp_path):
    write(tmp_path / "test.csv", "1\ttitle\tbody", "2\ta title", "in two\tbody")
    assert get_task("sogou").read(tmp_path, "test").text_a == ["title body", "a title in two body"]


def test_parts_with_blank_lines_between():
    table = Table("a.tsv", ["id", "t", "x"], [["1", "a"], [""], ["b", "c"]], [2, 3, 4])
    mended = mend(table, ["t"], ids="id")
    assert (mended.rows, mended.numbers) == ([["1", "a b", "c"]], [2])
