import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bert_tf.data import readers
from bert_tf.data.readers import read_csv, read_jsonl, read_table, read_tsv
from bert_tf.errors import UserError

fuzz = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_tsv_takes_quotes_as_characters(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"he said\t1\nan "inner" one\t0\n')
    table = read_tsv(path)
    assert table.header == ["text", "label"]
    assert table.column("text") == ['"he said', 'an "inner" one']
    assert table.where(1) == f"{path}:3"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_tsv_byte_order_mark_and_line_ends(tmp_path, bom, end):
    newline = "\r\n" if "\r" in end else "\n"
    path = write(tmp_path / "a.tsv", bom + newline.join(["text\tlabel", "a b\t1", "\t0"]) + end)
    table = read_tsv(path)
    assert (table.header, table.rows) == (["text", "label"], [["a b", "1"], ["", "0"]])


def test_tsv_keeps_other_line_separators_in_the_text(tmp_path):
    path = write(tmp_path / "a.tsv", "a\u2028b\x0bc\x85d\te\rf\n")
    assert read_tsv(path, header=False).rows == [["a\u2028b\x0bc\x85d", "e\rf"]]


def test_csv_quotes_and_embedded_line_ends(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\r\n"a, ""b""\nc",1\r\n\r\nd,0\r\n')
    table = read_csv(path)
    assert table.rows == [['a, "b"\nc', "1"], ["d", "0"]]
    assert table.where(1) == f"{path}:5"


def test_csv_quotes_behind_spaces_are_text_and_told(tmp_path):
    table = read_csv(write(tmp_path / "a.csv", 'text,label\n"a, b",1\nc, "0"\n'))
    assert table.rows == [["a, b", "1"], ["c", ' "0"']]
    assert table.remarks[0].startswith("1 row has a space before a quote")
    assert "the first in line 3" in table.remarks[0]
    assert not read_csv(write(tmp_path / "a.csv", 'text,label\n"a, ""b""",1\n')).remarks


def test_jsonl_values_become_text(tmp_path):
    path = write(
        tmp_path / "a.jsonl", '{"t": "é\\t\\n", "l": 1}\n\n{"l": true, "t": 2.5, "x": []}\n'
    )
    table = read_jsonl(path)
    assert table.header == ["t", "l"]
    assert table.rows == [["é\t\n", "1"], ["2.5", "true"]]
    assert table.where(1) == f"{path}:3"


def test_jsonl_takes_only_the_keys_asked_for(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "extra": null}\n')
    assert read_jsonl(path, ["text"]).rows == [["a"]]


@pytest.mark.parametrize(
    ("content", "row", "message"),
    [
        (b"", "", "the file is empty"),
        (b"text\tlabel\n", "", "no rows below the header"),
        (b"\n\n", "", "no rows"),
        (b"text\tlabel\na\t1\nb\xff\t0\n", ":3", "expected UTF-8 text: save it as UTF-8"),
        (b"\xef\xbb\xbftext\n\xc3\n", ":2", "found byte 0xc3, expected UTF-8"),
        (b"text\tlabel\na\0b\t1\n", ":2", "NUL byte"),
        ("text\nab\n".encode("utf-16"), ":1", "NUL byte"),
        (b"text\na\n" + b"x" * 10_000_000 + b"\nb\n", ":3", "a line of 10000000 characters"),
    ],
)
@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_bad_files_name_the_row(tmp_path, name, content, row, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}{row}: ")
    assert message in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("content", "row", "message"),
    [
        ('a,b\n1,2\n3,"x" y\n', 3, "not a CSV row"),
        ('a,b\n"never closed,2\n3,4\n', 2, "not a CSV row"),
    ],
)
def test_bad_csv(tmp_path, content, row, message):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(UserError, match=message) as error:
        read_csv(path)
    assert str(error.value).startswith(f"{path}:{row}: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'t': 1}", "not valid JSON"),
        (
            "[1]",
            r"expected a JSON object per line, found .*: write each object in a line of its own",
        ),
        ("[", "Expecting value at character 2: .*: write each object in a line of its own"),
        ('{"x": "a"}', "no key 't'"),
        ('{"t": null}', "'t' is null, expected text or a number: fill it in or delete the line"),
        ('{"t": ["a"]}', "'t' is a list"),
        ('{"t": "a", "t": "b"}', "a key is there twice"),
        ('{"t": NaN}', "NaN is no JSON number"),
        ('{"t": "\\ud800"}', "half a surrogate pair"),
        ('{"t": ' + "[" * 100_000, "nested too deeply"),
        ('{"t": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
)
def test_bad_jsonl(tmp_path, line, message):
    path = write(tmp_path / "a.jsonl", '{"t": "fine"}\n' + line + "\n")
    with pytest.raises(UserError, match=message) as error:
        read_jsonl(path)
    assert str(error.value).startswith(f"{path}:2: ")


def test_unreadable_and_unknown_files(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_tsv(tmp_path / "absent.tsv")
    with pytest.raises(UserError, match="cannot read"):
        read_tsv(tmp_path)
    with pytest.raises(UserError, match=r"expected \.tsv, \.csv or \.jsonl"):
        read_table(tmp_path / "a.xlsx")


def test_columns_that_are_not_there(tmp_path):
    table = read_tsv(write(tmp_path / "a.tsv", "text\tlabel\tlabel\na\t1\t1\nb\n"))
    with pytest.raises(UserError, match=r"a.tsv:1: no column 'score' in the header: found 'text'"):
        table.column("score")
    with pytest.raises(UserError, match=r"a.tsv:1: more than one column 'label'"):
        table.column("label")
    with pytest.raises(UserError, match=r"a.tsv:3: found 1 of at least 2 columns: 'b'"):
        table.column(1)


@given(st.binary(max_size=300))
@example(b"\r\n")
@example(b"\xef\xbb\xbf")
@example(b'"\r\r\n"')
@fuzz
def test_any_bytes_are_rows_or_a_user_error(tmp_path, data):
    for suffix in (".tsv", ".csv", ".jsonl"):
        path = write(tmp_path / f"fuzz{suffix}", data)
        for header in (True, False):
            try:
                table = read_table(path, header=header)
            except UserError as e:
                assert str(path) in str(e)
                assert "\n" not in str(e)
            else:
                assert table.rows
                assert all(isinstance(value, str) for row in table.rows for value in row)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
@fuzz
def test_any_text_is_rows_or_a_user_error(tmp_path, text):
    test_any_bytes_are_rows_or_a_user_error.hypothesis.inner_test(tmp_path, text.encode())


# A cell that begins with a quote may be taken for a quoted one: see test_quotes.py.
field = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\0"), max_size=20
).map(lambda text: text.lstrip('"'))


@given(st.lists(st.lists(field, min_size=2, max_size=4), min_size=1, max_size=8))
@fuzz
def test_written_tsv_rows_are_read_back(tmp_path, rows):
    if rows[0][0].startswith("\ufeff"):
        return  # a leading byte order mark is not part of the text
    path = write(tmp_path / "rows.tsv", "".join("\t".join(row) + "\n" for row in rows))
    assert read_tsv(path, header=False).rows == rows


def test_a_line_at_the_limit_is_read(tmp_path):
    path = write(tmp_path / "a.tsv", "x" * readers.MAX_LINE + "\ny\n")
    assert len(read_tsv(path, header=False)) == 2
