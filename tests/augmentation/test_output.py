"""The file of variants: what is written reads back, and nothing else is overwritten."""

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bert_tf.augmentation import output
from bert_tf.data.augmented import digest_of_rows, extended
from bert_tf.data.examples import Examples
from bert_tf.data.table import Table
from bert_tf.data.tasks import custom_task, get_task
from bert_tf.errors import UserError

fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# All that a text file may hold; a NUL byte is refused where it is read.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0")
PIECES = st.sampled_from(
    ['"', '""', "\t", "\r", "\r\n", "\n", ", ", " ", "it", "'", "\\", "\ufeff"]
)
TEXTS = st.lists(st.one_of(st.text(CHARACTERS, max_size=8), PIECES), max_size=6).map("".join)


def write_and_read(folder, task, form, header, rows, columns):
    """Writes rows as the variants of the one before them; returns their texts as they are read."""
    first, *variants = rows
    text, label = columns
    examples = Examples(["0"], [first[text]], None, np.zeros(1, np.int32), "train")
    about = {
        "task": task.to_json(), "teacher": None, "training_rows": digest_of_rows(examples, task),
    }  # fmt: skip
    assert all(row[label] == task.labels[0] for row in rows)
    path = folder / f"augmented.{form}"
    output.write(path, Table("train", header, rows, [1]), form, [[first, *variants]], about)
    return extended(task, examples, path).text_a[1:]


def new(texts):
    """The texts that are neither the first nor one before, in order."""
    return list(dict.fromkeys(texts))[1:] if texts else []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@fuzz
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
@example(texts=['"', 'say "hi"', "a\r", "\r\n", "", ' "x', "a,b"])
def test_texts_read_back_equal(tmp_path, form, texts):
    task = custom_task(
        tmp_path / f"train.{form}", text_column="text", label_column="label", labels=["no", "yes"]
    )
    rows = [[text, "no"] for text in texts]
    found = write_and_read(tmp_path, task, form, ["text", "label"], rows, (0, 1))
    assert found == new(texts)


@pytest.mark.parametrize("name", ["sst-2", "cola"])
@fuzz
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
@example(texts=["x", '"a, b"', '"c, b"', '"say ""hi"""'])  # as a spreadsheet would write them
@example(texts=["a", "b\r", "\r", '"'])
def test_tabbed_texts_read_back_equal_but_for_tabs_and_line_ends(tmp_path, name, texts):
    one_line = [re.sub("\t|\r?\n", " ", text) for text in texts]
    if name == "sst-2":
        rows, columns, header = [[x, "0"] for x in texts], (0, 1), ["sentence", "label"]
    else:  # the text is the last column, and there is no header
        rows, columns, header = [["gj04", "0", "", x] for x in texts], (3, 1), None
    found = write_and_read(tmp_path, get_task(name), "tsv", header, rows, columns)
    # The training row itself is the one that the task's file has, where there are no tabs.
    assert found == [x for x in dict.fromkeys(one_line[1:]) if x != texts[0]]


def test_the_description_counts_rows(tmp_path):
    path, table = tmp_path / "a.tsv", Table("t", ["text", "label"], [], [])
    groups = [[["a", "0"], ["b", "0"]], [["c", "1"]]]
    assert output.write(path, table, "tsv", groups, {"seed": 3}) == [2, 1]
    assert path.read_text() == "text\tlabel\na\t0\nb\t0\nc\t1\n"
    about = json.loads((tmp_path / "a.tsv.json").read_text())
    assert (about["rows"], about["training_examples"], about["variants"]) == ("2 1", 2, 1)
    assert about["seed"] == 3


def test_an_interrupted_run_leaves_what_was_there(tmp_path):
    path, table = tmp_path / "a.tsv", Table("t", None, [], [])
    output.write(path, table, "tsv", [[["old"]]], {})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def groups():
        yield [["new"]]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        output.write(path, table, "tsv", groups(), {})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_only_an_earlier_output_is_overwritten(tmp_path):
    train, path = tmp_path / "train.csv", tmp_path / "out.csv"
    train.write_text("text,label\n")
    output.check_output(path, train, custom=True)
    (tmp_path / "out.csv.json").write_text("{}")
    with pytest.raises(UserError, match=r"out.csv.json: expected the description"):
        output.check_output(path, train, custom=True)
    (tmp_path / "out.csv.json").unlink()
    path.write_text("mine")
    with pytest.raises(UserError, match=r"exists, and is no file of augment_data.py"):
        output.check_output(path, train, custom=True)
    for text in ("{}", '{"format": 2}', "["):
        (tmp_path / "out.csv.json").write_text(text)
        with pytest.raises(UserError, match=r"out.csv.json: "):
            output.check_output(path, train, custom=True)
    about = {"task": {}, "teacher": None, "training_rows": ""}
    output.write(path, Table("t", None, [], []), "csv", [[["a"]]], about)
    output.check_output(path, train, custom=True)
    with pytest.raises(UserError, match="is the training file"):
        output.check_output(train, train, custom=True)
    with pytest.raises(UserError, match=r"give it the extension .csv"):
        output.check_output(tmp_path / "out.tsv", train, custom=True)
    output.check_output(tmp_path / "out", train, custom=False)
