"""CoNLL files as they come: tabs and spaces, comments, documents, and what is wrong with some."""

import pytest

from bert_tf.errors import UserError
from bert_tf.tagging import conll, data, entities
from tests.tiny import tags


def write(tmp_path, text, name="train.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC
call NN I-NP O
. . O O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""


def test_conll_2003_as_it_is(tmp_path):
    file = conll.read(write(tmp_path, CONLL_2003), 0, -1)
    assert file.words[:2] == ["EU", "rejects"] and len(file) == 2
    assert file.offsets.tolist() == [0, 5, 7] and file.numbers[[0, 5]].tolist() == [3, 9]
    assert file.labels[-2:] == ["B-PER", "I-PER"]
    assert conll.read(write(tmp_path, CONLL_2003), 0, 1).labels[0] == "NNP"
    predicted = file.with_predictions(["O"] * 7).split("\n")
    assert predicted[0] == "-DOCSTART- -X- -X- O" and predicted[1] == ""
    assert predicted[2] == "EU NNP B-NP B-ORG O"


def test_tabs_keep_spaces_in_words_and_the_lines_as_they_are(tmp_path):
    text = "# id 1\twnut\r\nNew York\tB-LOC\r\n\u00a0x\tO\r\n\r\n\r\n#tag\tO\r\nof\tO"
    file = conll.read(write(tmp_path, text), 0, -1)
    assert file.words == ["New York", "\u00a0x", "#tag", "of"]
    assert file.offsets.tolist() == [0, 2, 4]
    found = file.with_predictions(["A", "B", "C", "D"])
    assert found == "# id 1\twnut\nNew York\tB-LOC\tA\n\u00a0x\tO\tB\n\n\n#tag\tO\tC\nof\tO\tD\n"


def test_an_empty_last_column_stays_a_column(tmp_path):
    file = conll.read(write(tmp_path, "of\tIN\t\nit\tPRP\tx\n"))
    assert file.with_predictions(["A", "B"]) == "of\tIN\t\tA\nit\tPRP\tx\tB\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# sent_id = 1\n# text = # b\n# O\nb B-X\nc O\n", ["#", "b", "c"]),
        ("# 1 \na O\nb O\n\n# b\n#c O\nd O\n", ["a", "b", "#c", "d"]),
        ("#\n\n#tag\nof\n", ["#", "#tag", "of"]),
        ("a  O\n # O\n", ["a", "#"]),
    ],
)
def test_a_comment_is_no_word_and_a_hash_is_one(tmp_path, text, words):
    width = len(text.split("\n")[-2].split())
    file = conll.read(write(tmp_path, text), 0, -1 if width > 1 else None)
    assert file.words == words


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a O\nb\nc O\n", (0, -1), r"train.txt:2: found 1 column .* spaces, expected 2 as in line"),
        ("a\tO\nb O\n", (0, -1), r":2: found 1 column separated by tabs, expected 2"),
        ("a O\nb c O\n", (0, -1), r":2: found 3 columns"),
        ("a O\n", (2, -1), r"--token_column=2: .*:1 has 2 columns separated by spaces"),
        ("a O\n", (0, -3), r"--label_column=-3: "),
        ("a\nb\n", (0, -1), r"word and label in the same one"),
        ("a\tO\n\tO\n", (0, -1), r":2: the word is empty"),
        ("a\tO\nb\t\n", (0, -1), r":2: the label is empty"),
        ("\n \n\n", (0, -1), "holds no words"),
        ("-DOCSTART- O\n\n", (0, -1), "holds no words"),
        ("", (0, -1), "the file is empty"),
        ("a O\n\0", (0, -1), "NUL byte"),
    ],
)
def test_what_is_no_conll_file_is_refused_by_its_line(tmp_path, text, columns, message):
    with pytest.raises(UserError, match=message):
        conll.read(write(tmp_path, text), *columns)


@pytest.mark.parametrize(
    ("scheme", "text", "message"),
    [
        ("iob2", "a B-X\nb O\nc I-X\n", r":3: label 'I-X' does not follow iob2; 1 label does not"),
        ("iobes", "a B-X\nb O\n", r":1: label 'B-X' does not follow iobes"),
        ("iob2", "a NN\nb O\n", r":1: label 'NN', expected O or one that begins with B- or I-"),
        ("iob2", "a S-X\nb O\n", r":1: label 'S-X', expected O"),
    ],
)
def test_a_named_scheme_is_held_to(tmp_path, scheme, text, message):
    file = conll.read(write(tmp_path, text), 0, -1)
    with pytest.raises(UserError, match=message):
        entities.check(file, scheme, given=True)


def test_labels_that_break_a_scheme_are_warned_of(tmp_path, caplog):
    file = conll.read(write(tmp_path, "a B-X\nb O\nc I-X\n\nd B-X\n"), 0, -1)
    entities.check(file, "iob2", given=False)
    assert "1 label does not, of 4: entities are read as conlleval reads them" in caplog.text


def test_labels_are_found_in_an_order_that_rows_do_not_change(tmp_path):
    file = conll.read(write(tmp_path, "a B-Y\nb O\nc B-X\nd I-X\n"), 0, -1)
    assert entities.discover(file, "iob2") == ("O", "B-X", "I-X", "B-Y", "I-Y")
    same = conll.read(write(tmp_path, "a O\nb O\n"), 0, -1)
    with pytest.raises(UserError, match="every word has the label 'O'"):
        entities.discover(same, "none")
    rows = [(f"w{i}", f"l{i}") for i in range(30)]
    many = conll.read(tags.write_conll(tmp_path / "many.txt", [rows]), 0, -1)
    with pytest.raises(UserError, match="30 different labels on 30 words"):
        entities.discover(many, "none")


def test_an_unknown_label_is_refused_by_its_line(tmp_path):
    task = data.TaggingTask(("O", "B-X"), "iob2", 0, -1)
    file = conll.read(write(tmp_path, "a O\nb B-Z\n", "dev.txt"), 0, -1)
    with pytest.raises(UserError, match=r"dev.txt:2: unknown label 'B-Z', expected one of O, B-X"):
        task.positions(file)


def test_the_first_sentences(tmp_path):
    file = conll.read(write(tmp_path, CONLL_2003), 0, -1)
    first = file.first(1)
    assert (len(first), len(first.words), len(first.labels)) == (1, 5, 5)
    assert file.first(None) is file.first(2) is file


def test_the_files_of_a_folder(tmp_path):
    options = tags.tagger_options(data_dir=tmp_path)
    with pytest.raises(UserError, match=r"holds no dev file, looked for dev\.txt"):
        data.file_of(options, "dev")
    for name in ("eng.train", "eng.testa", "test.conll"):
        write(tmp_path, CONLL_2003, name)
    assert data.file_of(options, "train").endswith("eng.train")
    assert data.file_of(options, "dev").endswith("eng.testa")
    assert data.file_of(options, "test").endswith("test.conll")
    write(tmp_path, CONLL_2003, "train.txt")
    with pytest.raises(UserError, match=r"train\.txt and eng\.train could both be the train file"):
        data.file_of(options, "train")
    with pytest.raises(UserError, match="no such folder"):
        data.file_of(tags.tagger_options(data_dir=tmp_path / "no"), "dev")
