"""Tab-separated files with quotes: read as they were written, or a word about it."""

import csv
import re

import pytest

from bert_tf.data.readers import read_tsv
from bert_tf.errors import UserError


def write(folder, text):
    (folder / "a.tsv").write_bytes(text.encode())
    return folder / "a.tsv"


@pytest.mark.parametrize(
    "text",
    [
        '"begins\t1\nends"\t0\n"both"\t1\na "word" in it\t0\n',
        '"begins\t1\nends"\t0\n"both"\t1\n',
        'ends"\t0\n"begins\t1\n',
        '"a pair\tthat ends"\n"another\tpair"\n"th"ree\tx\n',
        '"\t1\n""\t0\n" \t1\na\t0\n',
        '"\'s fine\t1\n"\t0\n',
    ],
)
@pytest.mark.parametrize("header", ["text\tlabel\n", ""])
def test_bare_quotes_are_text(tmp_path, text, header):
    table = read_tsv(write(tmp_path, header + text), header=bool(header))
    assert table.rows == [line.split("\t") for line in text.splitlines()]
    assert list(table.numbers) == list(range(1 + bool(header), 1 + bool(header) + len(table)))


@pytest.mark.parametrize("blank", ["\n", "\r\n\r\n"])
def test_blank_lines_at_the_end_change_nothing(tmp_path, blank):
    table = read_tsv(write(tmp_path, 'text\tlabel\n"begins\t1\nends"\t0\n' + blank))
    assert table.column("text") == ['"begins', 'ends"']
    table = read_tsv(write(tmp_path, '"text"\t"label"\n"a"\t"1"\n"b"\t"0"\n' + blank))
    assert table.column("text") == ["a", "b"]


def test_bare_quotes_among_others_are_not_worth_a_word(tmp_path):
    table = read_tsv(write(tmp_path, 'text\tlabel\n"one" said\t1\n"two"\t0\n'))
    assert (table.column("text"), table.remarks) == (['"one" said', '"two"'], [])


ROWS = [
    ('He said "wow" twice', "pos"),
    ("two\nlines", "neg"),
    ("a\ttab", "pos"),
    ("", "neg"),
    ("plain", "pos"),
]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ROWS[1:2], ROWS[2:3], ROWS[1:]])
def test_quotes_of_a_writer_are_taken_off(tmp_path, quoting, end, rows):
    with open(tmp_path / "a.tsv", "w", newline="") as f:
        out = csv.writer(f, delimiter="\t", quoting=quoting, lineterminator=end)
        out.writerows([("text", "label"), *rows])
    table = read_tsv(tmp_path / "a.tsv")
    assert table.header == ["text", "label"]
    assert [tuple(row) for row in table.rows] == rows
    starts = [2]
    for text, _ in rows[:-1]:
        starts.append(starts[-1] + 1 + text.count("\n"))
    assert list(table.numbers) == starts
    assert len(table.remarks) == 1
    assert re.match(r"(1 cell is|\d+ cells are) in quotes, the first in line", table.remarks[0])


def test_spreadsheets_quote_cells_with_commas(tmp_path):
    table = read_tsv(write(tmp_path, 'text\tlabel\n"well, no"\t0\nfine\t1\n"so, so"\t1\n'))
    assert table.column("text") == ["well, no", "fine", "so, so"]
    table = read_tsv(write(tmp_path, 'text\tlabel\n"well, no"\t0\no, k\t1\n"so, so"\t1\n'))
    assert table.column("text") == ['"well, no"', "o, k", '"so, so"']


def test_an_empty_cell_of_a_single_column(tmp_path):
    table = read_tsv(write(tmp_path, 'text\na\n""\n"two\nlines"\n'))
    assert (table.column("text"), list(table.numbers)) == (["a", "", "two\nlines"], [2, 3, 4])


def test_a_column_in_quotes_throughout(tmp_path):
    table = read_tsv(write(tmp_path, 'text\tlabel\n"fine"\tpos\n"dull"\tneg\n'))
    assert table.column("text") == ["fine", "dull"]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ('a\t1\n"b"\t0\n', "1 cell begins and ends with a quote, the first in line 2"),
        ('"a ""b"" c"\t1\nsay "x"\t0\n', "line 1 has quotes within quotes"),
        ('x\t1\n"a \\"b\\" c"\t1\n', "line 2 has quotes within quotes"),
    ],
)
def test_doubtful_quotes_stay_and_are_told(tmp_path, text, remark):
    table = read_tsv(write(tmp_path, text), header=False)
    assert table.rows == [line.split("\t") for line in text.splitlines()]
    assert [found.startswith(remark) for found in table.remarks] == [True]
    assert "save the file as .csv or JSON lines" in table.remarks[0]


def test_lines_of_one_column_that_quotes_may_hold_together(tmp_path):
    path = write(tmp_path, 'text\nplain\n"first\nsecond"\n')
    with pytest.raises(UserError, match=r"a\.tsv:3: a quote begins here.*save the file as \.csv"):
        read_tsv(path)
