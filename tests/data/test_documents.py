"""Readers of the document sets: separators, quotes, joined columns, the dev set, bad rows."""

import csv

import pytest
from absl import logging

from bert_tf.data.documents import DocumentTask
from bert_tf.data.tasks import TASK_NAMES, get_task
from bert_tf.errors import UserError

# task: (content of a file, first texts, second texts, labels)
LAYOUTS = {
    "ag": (
        '"3","Oil up","Prices, ""again"", rose."\n"4","A \\"," lone\\new\\"\n',
        ['Oil up - Prices, "again", rose.', "A \\ -  lone\\new\\"],
        None,
        [2, 3],
    ),
    "dbpedia": (
        '1,"A","A firm.\\nIn ""X""."\n14,"B","A book, by C."\n',
        ['A A firm. In "X".', "B A book, by C."],
        None,
        [0, 13],
    ),
    "imdb": ('1\t"Home" is fine.\n0\ta, "b\n', ['"Home" is fine.', 'a, "b'], None, [1, 0]),
    "sogou": ("\ufeff1\t标题\t正文\n6\ta\tb\n", ["标题 正文", "a b"], None, [0, 5]),
    "trec": (
        "LOC\tWhere is it ?\nDESC\tWhat is \" ?\n",
        ["Where is it ?", 'What is " ?'],
        None,
        [0, 5],
    ),
    "yahoo": (
        '"1","Why?","Just\\nso","Ask."\n"10","","Who?",""\n',
        ["Why? Just so", "Who?"],
        ["Ask.", ""],
        [0, 9],
    ),
    "yelp-f": ('"5","So\\n\\ngood\ntruly"\n"1","bad"\n', ["So  good\ntruly", "bad"], None, [4, 0]),
    "yelp-p": ('"2","good, very"\n"1","bad"\n', ["good, very", "bad"], None, [1, 0]),
}  # fmt: skip


def write(folder, content, *names):
    for name in names or ("train.csv", "test.csv"):
        (folder / name).write_bytes(content.encode())


@pytest.fixture
def warnings(monkeypatch):
    """The warnings logged, as text."""
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: found.append(text % args))
    return found


def test_every_document_task_is_tested():
    assert {n for n in TASK_NAMES if isinstance(get_task(n), DocumentTask)} == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_layout(tmp_path, name, split):
    content, text_a, text_b, labels = LAYOUTS[name]
    write(tmp_path, content)
    examples = get_task(name).read(tmp_path, split)
    assert examples.text_a == text_a
    assert examples.text_b == text_b
    assert examples.ids == ["0", "1"]
    if split == "test":
        assert examples.labels is None
    else:
        assert examples.labels.tolist() == labels


@pytest.mark.parametrize("name", ["imdb", "sogou", "trec"])
def test_stray_quotes_of_tab_files_merge_no_rows(tmp_path, name):
    task = get_task(name)
    cells = ['"never closed', 'a "', '" b', 'c""', '"']
    text = [[cell] * len(task.columns[0]) for cell in cells]
    rows = ["\t".join([task.labels[0], *row]) + "\n" for row in text]
    write(tmp_path, "".join(rows))
    assert task.read(tmp_path, "train").text_a == [" ".join(row) for row in text]


def test_written_csv_is_read_back(tmp_path):
    texts = ['a,"b"', "two\nlines", "end\\", '"', "\\n", " x "]
    with open(tmp_path / "train.csv", "w", newline="", encoding="utf-8") as f:
        csv.writer(f, quoting=csv.QUOTE_ALL).writerows(("1", text, text) for text in texts)
    found = get_task("ag").read(tmp_path, "train").text_a
    assert found == [f"{text} - {text}" for text in texts]


def test_the_dev_set_is_dev_csv_or_else_the_test_file(tmp_path, warnings):
    write(tmp_path, "1\tfrom test\n", "test.csv")
    task = get_task("imdb")
    dev = task.read(tmp_path, "dev")
    assert (dev.text_a, dev.labels.tolist()) == (["from test"], [1])
    assert warnings == [f"{tmp_path / 'test.csv'} is the dev set: there is no dev.csv"]
    write(tmp_path, "0\tfrom dev\n", "dev.csv")
    dev = task.read(tmp_path, "dev")
    assert (dev.text_a, dev.labels.tolist()) == (["from dev"], [0])
    assert task.read(tmp_path, "test").text_a == ["from test"]
    assert len(warnings) == 1


def test_empty_cells_are_counted_and_left_out(tmp_path, warnings):
    write(tmp_path, '"1","title",""\n"2"," ","text"\n"3","",""\n"4","a","b"\n')
    assert get_task("ag").read(tmp_path, "train").text_a == ["title", "text", "", "a - b"]
    assert warnings == [
        f"{tmp_path / 'train.csv'}: 4 cells of text are empty",
        f"{tmp_path / 'train.csv'}: 1 text is empty",
    ]


@pytest.mark.parametrize(("name", "content"), [("imdb", "1\t\n0\t \n"), ("yahoo", "1,,,\n2,,, \n")])
def test_nothing_but_empty_texts_is_an_error(tmp_path, name, content):
    write(tmp_path, content)
    with pytest.raises(UserError, match=r"train\.csv: every text is empty"):
        get_task(name).read(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "content", "row", "message"),
    [
        ("ag", b'"1","a","b"\n"5","a","b"\n', 2, "unknown label '5', expected one of 1, 2, 3, 4"),
        ("ag", b'"1","a","b"\n"2","a"\n', 2, "found 2 columns, expected 3: '2 | a'"),
        ("ag", b"Class Index,Title,Description\n1,a,b\n", 1, "unknown label 'Class Index'"),
        ("yelp-p", b'"1","two\nlines"\n1,no quotes, but a comma\n', 3, "found 3 columns"),
        ("imdb", b"1\ta\n0\tb\tc\n", 2, "found 3 columns, expected 2"),
        ("imdb", b"1\ta\n\n0\tb\n", 2, "found 1 columns, expected 2"),
        ("imdb", b"1\ta\n0\tb\xff\n", 2, "found byte 0xff, expected UTF-8"),
        ("sogou", b"\xef\xbb\xbf1\ta\tb\n7\ta\tb\n", 2, "unknown label '7'"),
        ("trec", b"loc\ta\n", 1, "unknown label 'loc', expected one of LOC, NUM"),
        ("yahoo", b'1,a,b,"c\n', 1, "not a CSV row"),
    ],
)
def test_bad_rows(tmp_path, name, content, row, message):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        get_task(name).read(tmp_path, "train")
    assert str(error.value).startswith(f"{path}:{row}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_missing_files(tmp_path, split, warnings):
    with pytest.raises(UserError, match=r"no such file: task ag reads train\.csv, dev\.csv, test"):
        get_task("ag").read(tmp_path, split)
    with pytest.raises(UserError, match=r"--data_dir=.*: no such folder"):
        get_task("ag").read(tmp_path / "absent", split)
    assert not warnings
