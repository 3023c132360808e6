"""Windows: every word of every sentence is labelled once, where most of its context is seen."""

import itertools

import numpy as np
import pytest

from bert_tf.tagging import conll, data, features
from bert_tf.tokenization.tokenizer import BertTokenizer
from tests import tiny
from tests.tiny import tags

TASK = data.TaggingTask(("O", "B-X", "I-X"), "iob2", 0, -1)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocab")
    (folder / "vocab.txt").write_text("\n".join(tiny.TOKENS) + "\n")
    return BertTokenizer(folder / "vocab.txt")


def store_of(tmp_path, sentences, tokenizer, length=8, stride=3):
    rows = [[(word, "B-X" if word == "good" else "O") for word in words] for words in sentences]
    path = tags.write_conll(tmp_path / "train.txt", rows, "\t")
    return features.build(conll.read(path, 0, -1), TASK, tokenizer, length, stride)


def test_the_first_piece_of_a_word_has_its_label(tokenizer, tmp_path):
    store = store_of(tmp_path, [["the", "goods", "good"], ["plots"]], tokenizer)
    pieces = [tokenizer.vocab.tokens[i] for i in store.ids]
    assert pieces == [
        "[CLS]",
        "the",
        "good",
        "##s",
        "good",
        "[SEP]",
        "[CLS]",
        "plot",
        "##s",
        "[SEP]",
    ]
    assert store.labels.tolist() == [-1, 0, 0, -1, 1, -1, -1, 0, -1, -1]
    assert store.words.tolist() == [-1, 0, 1, -1, 2, -1, -1, 3, -1, -1]
    inputs, labels = store.batch([1, 0], pad_to=8)
    assert labels.tolist()[0] == [-1, 0, -1, -1, -1, -1, -1, -1]
    assert inputs["input_mask"].sum(1).tolist() == [4, 6]


def test_windows_label_each_word_once_with_the_most_context(tokenizer, tmp_path):
    words = ["the", "film", "was", "a", "story", "and", "plot", "actor", "very", "so"]
    store = store_of(tmp_path, [words], tokenizer)  # windows of 6 words, 3 apart
    windows = np.split(store.words, store.offsets[1:-1])
    assert [w[w >= 0].tolist() for w in windows] == [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9]]
    assert store.lengths.tolist() == [8, 8, 6]
    assert store.ids[9] == tokenizer.vocab.ids["a"]  # the second window begins at the fourth word


@pytest.mark.parametrize("stride", [1, 2, 5, 6])
@pytest.mark.parametrize("length", [8, 9])
def test_no_word_is_lost_or_there_twice(length, stride, tokenizer, tmp_path):
    rng = np.random.default_rng(0)
    words = [*tiny.PLAIN, "goods", "plots", "filmly", "good", "\u200e", "?", "goodlylylylylylylyly"]
    sentences = [list(rng.choice(words, rng.integers(1, 40))) for _ in range(30)]
    store = store_of(tmp_path, sentences, tokenizer, length, stride)
    assert sorted(store.words[store.words >= 0]) == list(range(sum(map(len, sentences))))
    assert store.lengths.max() <= length
    assert all((store.labels[a:b] >= 0).any() for a, b in itertools.pairwise(store.offsets))
    flat = [word for words in sentences for word in words]
    for token, word in zip(store.ids, store.words, strict=True):
        if word >= 0:
            pieces = tokenizer.tokens([flat[word]])[0] or ["[UNK]"]
            assert tokenizer.vocab.tokens[token] == pieces[0]


def test_words_that_leave_nothing_or_too_much_are_told_of(tokenizer, tmp_path, caplog):
    store = store_of(tmp_path, [["the", "\u200e", "goodlylylylylylylyly"]], tokenizer)
    assert "1 word of which the tokenizer leaves nothing: taken for [UNK]" in caplog.text
    assert "1 word of more than 6 pieces: cut, the first is in line 3" in caplog.text
    assert sorted(store.words[store.words >= 0]) == [0, 1, 2]


def test_the_fingerprint_is_of_what_the_model_sees(tokenizer, tmp_path):
    first, again, other, label = (
        store_of(tmp_path, sentences, tokenizer).fingerprint
        for sentences in (
            [["the", "good"]],
            [["the", "good"]],
            [["the"], ["good"]],
            [["the", "bad"]],
        )
    )
    assert first == again and len({first, other, label}) == 3
