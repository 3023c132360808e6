"""The nearest words, in a vocabulary's embeddings and in a GloVe file."""

import numpy as np
import pytest

from bert_tf.augmentation import neighbours
from bert_tf.augmentation.neighbours import GloveNeighbours, PieceNeighbours, Vectors, read_glove
from bert_tf.errors import UserError

GLOVE = """\
good 1 0 0
, 0 0 1
Great 0.9 0.1 0
bad -1 0 0
film 0 1 0
story 0 0.9 0.2
great 0 0 1
"""


def glove(tmp_path, text=GLOVE):
    path = tmp_path / "glove.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_nearest_by_the_cosine():
    table = np.array([[1, 0], [10, 1], [0, 3], [-1, 0], [0, 0]])
    vectors = Vectors(["a", "b", "c", "d", "zero"], table)
    assert vectors.nearest([[5.0, 0.0], [0.1, 9.0]], 2) == [["a", "b"], ["c", "b"]]
    assert vectors.nearest([[1.0, 0.0]], 99) == [["a", "b", "c", "zero", "d"]]
    many = np.repeat([[5.0, 0.0]], 200, 0)
    assert vectors.nearest(many, 1) == [["a"]] * 200


def test_a_word_of_several_pieces_is_their_mean():
    tokens = ["[PAD]", "good", "##s", "fine", "bad", "."]
    table = np.array([[9, 9], [1, 0], [0, 1], [1, 0.9], [-1, 0], [1, 1]], np.float32)
    words = np.array([token.isalpha() for token in tokens])
    near = PieceNeighbours(words, tokens, table)
    assert near.nearest(["goods"], [np.array([1, 2])], 2) == [("fine", "good")]
    assert near.nearest([], [], 2) == []
    none = PieceNeighbours(np.zeros(6, bool), tokens, table)
    assert none.nearest(["goods"], [np.array([1, 2])], 2) == [()]


def test_glove_of_lower_case(tmp_path):
    near = GloveNeighbours(glove(tmp_path), lower_case=True)
    found = near.nearest(["Good", "FILM", "unknown"], None, 2)
    assert found == [("great", "film"), ("story", "great"), ()]


def test_glove_with_case(tmp_path):
    near = GloveNeighbours(glove(tmp_path), lower_case=False)
    found = near.nearest(["good", "Great", "Film", "FILM"], None, 1)
    assert found == [("Great",), ("good",), ("Story",), ()]


def test_glove_is_read_to_its_most_frequent_words(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "GLOVE_WORDS", 4)
    found = read_glove(glove(tmp_path, "3 3\n" + GLOVE), lower_case=False)
    assert found.words == ["good", "Great"]  # the comma is no word


def test_words_with_spaces_are_left_out(tmp_path):
    found = read_glove(glove(tmp_path, "good 1 2\n. . 3 4\nbad -1 2\n"), lower_case=False)
    assert found.words == ["good", "bad"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good 1 0\nbad 1\n", "line 2: found '1', expected a word and 2 finite numbers"),
        ("good 1 0\nbad 1 x\n", "line 2: found '1 x'"),
        ("good 1 nan\n", "line 1: found '1 nan'"),
        ("good\n", "line 1: found '', expected a word and its finite numbers"),
        (", 1 2\n", "holds no word"),
        ("", "holds no word"),
        (b"good 1\n\xff 1\n", "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        read_glove(glove(tmp_path, text), lower_case=True)
    assert str(error.value).startswith(f"--glove_file={tmp_path / 'glove.txt'}: ")


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"no.txt: cannot be read: No such file"):
        read_glove(tmp_path / "no.txt", lower_case=True)
