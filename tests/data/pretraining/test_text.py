"""Reading documents: layouts, compression, long lines, damage."""

import gzip
import json

import pytest

from bert_tf.data.pretraining import layouts
from bert_tf.data.pretraining.text import TextReader, find_files
from bert_tf.errors import UserError


def documents(path, input_format="auto"):
    """The documents (list of str) of one file, and how it was read."""
    reader = TextReader([str(path)], input_format)
    found = {}
    for piece in reader.pieces():
        found.setdefault(piece.document, []).append(piece.text)
    assert list(found) == list(range(len(found)))
    return [" ".join(texts) for texts in found.values()], reader.formats[str(path)]


@pytest.fixture
def write(tmp_path):
    def make(content, name="text.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def test_one_document_per_line(write):
    assert documents(write("a b\r\n  c d \ne")) == (["a b", "c d", "e"], "lines")


def test_blank_lines_separate_documents(write):
    path = write("\n\na one.\na two.\n\n \nb one.\n")
    assert documents(path) == (["a one. a two.", "b one."], "blank_lines")
    assert documents(path, "lines")[0] == ["a one.", "a two.", "b one."]


def test_wikiextractor_blocks_lose_their_titles(write):
    path = write(
        '<doc id="1" url="u" title="Lobster">\nLobster\n\nIt is blue.\nIt eats.\n</doc>\n'
        '<doc id="2" title="Empty">\nEmpty\n\n</doc>\n<doc id="3">\nBear\nIt is brown.\n</doc>\n'
    )
    assert documents(path) == (["It is blue. It eats.", "It is brown."], "wikiextractor")


def test_wikiextractor_blocks_without_titles_keep_their_first_line(write):
    path = write(
        '<doc id="1" title="Lobster">\n\nIt is blue.\nIt eats.\n'
        '<doc id="2" title="A &quot;B&quot;">\nA "B"\n\nIt is brown.\n</doc>\n'
    )
    assert documents(path)[0] == ["It is blue. It eats.", "It is brown."]


def test_files_of_both_plain_formats_are_worth_a_warning(write, caplog):
    paths = [str(write("a\nb\n\nc\n", "0")), str(write("d\ne\n", "1"))]
    for input_format in ("blank_lines", "auto"):
        caplog.clear()
        reader = TextReader(paths, input_format)
        list(reader.pieces())
        reader.report()
        assert ("1 is read as a document per line" in caplog.text) == (input_format == "auto")


def test_compressed_text_and_byte_order_mark(write):
    path = write(gzip.compress("\ufeffa b\nc\n".encode()), "text.txt.gz")
    assert documents(path)[0] == ["a b", "c"]


def test_files_folders_and_globs_each_file_once(write, tmp_path):
    (tmp_path / "books" / "deep").mkdir(parents=True)
    names = ["b.txt", "a.txt", "books/2", "books/deep/1", "books/.hidden", "other.md"]
    for name in names:
        write("x\n", name)
    found = find_files(f"{tmp_path}/books, {tmp_path}/*.txt,{tmp_path}/a.txt")
    expected = ["books/2", "books/deep/1", "a.txt", "b.txt"]
    assert found == [str(tmp_path / name) for name in expected]


def test_patterns_that_name_nothing(tmp_path):
    with pytest.raises(UserError, match=r"nothing/\*\.txt: no such file"):
        find_files(f"{tmp_path}/nothing/*.txt")
    with pytest.raises(UserError, match="names no file"):
        find_files(" , ")


def test_long_lines_come_in_pieces_and_lose_nothing(write, monkeypatch):
    monkeypatch.setattr(layouts, "MAX_PIECE", 32)
    words = [f"wort{i}ä" for i in range(60)]
    path = write(" ".join(words) + "\nnext line\n" + "力" * 100 + "\nend")
    for kind in ("lines", "blank_lines"):
        pieces = list(TextReader([str(path)], kind).pieces())
        assert max(len(piece.text) for piece in pieces) <= 64
        assert sum(piece.last for piece in pieces) == (4 if kind == "lines" else 1)
        joined = " ".join(piece.text for piece in pieces)
        assert joined.split()[:60] == words
        assert joined.replace(" ", "").count("力") == 100


def test_not_utf8_names_file_and_line(write):
    path = write(b"good\nfine\nb\xff\n")
    with pytest.raises(UserError, match=r"text\.txt: line 3 is not UTF-8 text .*byte 2"):
        documents(path)


def test_damaged_gz_names_the_file(write):
    content = gzip.compress(b"".join(b"line %d\n" % i for i in range(5000)))
    with pytest.raises(UserError, match=r"cut\.gz: damaged after line \d+, expected a whole \.gz"):
        documents(write(content[: len(content) // 2], "cut.gz"))
    with pytest.raises(UserError, match=r"plain\.gz: damaged after line 0"):
        documents(write("no gzip at all\n", "plain.gz"))


def test_file_that_goes_away(write):
    path = write("a\n")
    reader = TextReader([str(path)])
    path.unlink()
    with pytest.raises(UserError, match=r"text\.txt: cannot read the text: No such file"):
        list(reader.pieces())


def test_progress_reaches_the_end(write):
    reader = TextReader([str(write("a b\nc\n")), str(write(gzip.compress(b"d\n"), "z.gz"))])
    assert reader.bytes_read == 0
    list(reader.pieces())
    assert reader.bytes_read == reader.total_bytes


def jsonl(*texts, **more):
    return "".join(json.dumps({"id": "1", "text": text, **more}) + "\n" for text in texts)


def test_json_lines_give_their_texts(write):
    path = write(jsonl('Caf\u00e9 "x".\n\nIt\tis.\r\n', "", "b", url="https://u", title="A {t}"))
    assert documents(path) == (['Café "x". It\tis.', "b"], "jsonl")
    raw = write(' {"text": "é\u2028ü"}\n\n{"n": 1, "text": "c"}')
    assert documents(raw) == (["é\u2028ü", "c"], "jsonl")
    assert documents(write(gzip.compress(jsonl("z").encode()), "a.gz")) == (["z"], "jsonl")


def test_long_objects_are_read_whole(write, monkeypatch):
    monkeypatch.setattr(layouts, "MAX_PIECE", 32)
    texts = [" ".join(f"wört{i}" for i in range(n)) for n in (40, 3)]
    assert documents(write(jsonl(*texts)))[0] == texts
    monkeypatch.setattr(layouts, "_MAX_OBJECT", 100)
    with pytest.raises(UserError, match=r"text\.txt: line 1 has more than 100 characters"):
        documents(write(jsonl(*texts)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jsonl("a") + "plain\n", r"text\.txt:2: not valid JSON"),
        (jsonl("a") + '{"content": "b"}\n', r"text\.txt:2: no key 'text', .* found 'content'"),
        (
            '{"title": "a"}\n',
            r"text\.txt:1: no key 'text', .* found 'title': rename the key of the text to 'text'",
        ),
        (jsonl("a") + '{"text": null}\n', r"text\.txt:2: 'text' is null"),
        ('[{"text": "a"}]\n', "as JSON: expected one object per line, whose text is under 'text'"),
        ('{\n "text": "a"\n}\n', "as JSON: expected one object per line"),
        ("<mediawiki>\n<page>\n", "expected plain text, without markup"),
        ("<!DOCTYPE html>\n", "expected plain text, without markup"),
        ("a\rb\rc", "lines end in CR alone"),
    ],
)
def test_structured_files_that_hold_no_such_text(write, content, message):
    with pytest.raises(UserError, match=message):
        documents(write(content))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04\x14\0\0\0", "a zip archive"),
        (b"PAR1\x15\0", "a Parquet file"),
        (b"\x1f\x8b\x08\0", "compressed by gzip"),
        (b"%PDF-1.5\n%\xd0\xd4\n", "a PDF document"),
        ("ab\n".encode("utf-16"), "UTF-16 text"),
        (b"\x0c\0\0\0\0\0\0\0abcd" + b"x" * 12, "a TFRecord file"),
    ],
)
@pytest.mark.parametrize("input_format", ["auto", "lines"])
def test_files_that_are_no_text_are_named(write, content, kind, input_format):
    with pytest.raises(UserError, match=rf"text\.txt: line \d .*\({kind}"):
        documents(write(content), input_format)


def test_a_nul_byte_in_text(write):
    with pytest.raises(
        UserError, match=r"text\.txt: line 2 has a NUL byte, expected text: give plain text"
    ):
        documents(write(b"a\nb\0\n"))


@pytest.mark.parametrize(
    ("content", "input_format", "warning"),
    [
        ("a b.\n" * 9 + "\n" + "c.\n" * 9, "auto", "one blank line among 18 others"),
        (
            ("a b. C d.\n" * 20 + "\n") * 3,
            "auto",
            "blank lines in 2 places among 60 lines, most of",
        ),
        ("a b.\n" * 9 + "\n" + "c.\n" * 9, "blank_lines", None),
        (("a b.\n" * 20 + "\n") * 3, "auto", None),  # a sentence per line
        ("a.\n\nb. C d.\n\nc\n", "auto", None),
        (jsonl("a"), "lines", "looks like jsonl, read as --input_format=lines"),
        ("<p>a</p>\n<p>b</p>\n", "auto", "begins with a tag: all of its tags are read as text"),
        ("a\n", "wikiextractor", "looks like plain text, read as --input_format=wikiextractor"),
    ],
)
def test_reports_name_formats_and_doubts(write, caplog, content, input_format, warning):
    caplog.set_level("INFO", logger="absl")
    path = write(content)
    reader = TextReader([str(path)], input_format)
    count = len({piece.document for piece in reader.pieces()})
    reader.report()
    kind = reader.formats[str(path)]
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith(
        f"{count} document{'' if count == 1 else 's'} in 1 file, read as {kind} ("
    )
    assert len(messages) == (1 if warning is None else 2)
    if warning:
        assert messages[1].startswith(f"{path}: {warning}")


def test_a_plain_file_in_googles_format_is_one_document(write):
    reader = TextReader([str(write("a\nb\n"))], plain="blank_lines")
    assert list(reader.lines()) == ["a", "b", None]
    reader = TextReader([str(write(jsonl("a\nb", "c")))], plain="blank_lines")
    assert [line for line in reader.lines() if line] == ["a", "b", "c"]
    assert reader.documents == 2
    path = write('<doc id="1">\nTitle\n\na\nb\n</doc>\n')
    reader = TextReader([str(path)], plain="blank_lines")
    assert [line for line in reader.lines() if line] == ["a", "b"]


def test_tables_are_worth_a_warning(write, caplog):
    reader = TextReader([str(write("text,label\na,1\n", "a.csv"))])
    list(reader.pieces())
    reader.report()
    assert "a.csv: a table by its name: all of its columns are read as text" in caplog.text
