"""Texts become the inputs that BertTokenizer.encode makes of them."""

import itertools
import random

import numpy as np
import pytest

from bert_tf.errors import UserError
from bert_tf.export import tokenizer as export
from bert_tf.serving.encoding import TextEncoder
from bert_tf.tokenization.tokenizer import TRUNCATIONS, BertTokenizer
from bert_tf.tokenization.vocab import load_vocab
from tests.serving.exported import TOKENS

HOSTILE = [
    "",
    " ",
    "\0",
    "a" * 201,
    "good " * 10_000,
    "深度?good",
    "[CLS] \ufffd",
    "Σ\u200dΣ😀",
    "ÁÅ",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(TOKENS) + "\n", "utf-8")
    found = BertTokenizer(load_vocab(path))
    export.write(found, path.parent / "tokenizer.json")
    return found


@pytest.fixture(scope="module")
def path(tokenizer):
    return tokenizer.vocab.path.replace("vocab.txt", "tokenizer.json")


@pytest.fixture(scope="module")
def texts():
    rng = random.Random(1)
    made = [" ".join(rng.choices("abcdefgh", k=rng.randint(0, 40))) for _ in range(200)]
    return [*HOSTILE, *made]


def assert_same(rows, flat):
    ids, offsets, first_lengths = flat
    expected = [ids[start:stop].tolist() for start, stop in itertools.pairwise(offsets)]
    assert [row.ids for row in rows] == expected
    assert [row.first_length for row in rows] == first_lengths.tolist()


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("length", [2, 3, 6, 17, 128])
def test_single_texts_are_cut_as_in_training(tokenizer, path, texts, length, truncation):
    rows = TextEncoder(path, length, truncation).encode(texts)
    assert_same(rows, tokenizer.encode_flat(texts, None, length, truncation))


@pytest.mark.parametrize("length", [3, 4, 5, 10, 17, 128])
def test_pairs_are_cut_as_in_training(tokenizer, path, texts, length):
    others = texts[::-1]
    rows = TextEncoder(path, length).encode(list(zip(texts, others, strict=True)))
    assert_same(rows, tokenizer.encode_flat(texts, others, length))


def test_a_batch_is_padded_as_the_tokenizer_pads(tokenizer, path):
    texts, others = ["a b c", "", "good"], ["bad", "film so it", ""]
    encoder = TextEncoder(path, 16)
    found = encoder.batch(encoder.encode(list(zip(texts, others, strict=True))))
    expected = tokenizer.encode(texts, others, 16).values()
    assert list(found) == ["input_ids", "attention_mask", "token_type_ids"]
    for ours, theirs in zip(found.values(), expected, strict=True):
        assert ours.dtype == np.int64
        np.testing.assert_array_equal(ours, theirs)


def test_one_thread_says_the_same(path, texts):
    pairs = list(zip(texts, texts[::-1], strict=True))
    many, one = TextEncoder(path, 16), TextEncoder(path, 16, threads=1)
    assert one.encode([*texts, *pairs]) == many.encode([*texts, *pairs])


def test_texts_and_pairs_may_be_mixed(path):
    encoder = TextEncoder(path, 16)
    mixed = encoder.encode(["a", ("b", "c"), ["d", ""], "e"])
    apart = [encoder.encode([row])[0] for row in ("a", ("b", "c"), ("d", ""), "e")]
    assert mixed == apart


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, r"row 1: found '3' \(int\), expected a text"),
        (None, "row 1: found 'None'"),
        (float("nan"), r"row 1: found 'nan' \(float\)"),
        (b"bytes", r"row 1: .*\(bytes\)"),
        (("a", "b", "c"), r"row 1: .*\(tuple\), expected a text \(str\) or a pair"),
        (("a", None), "row 1: "),
        (["a"], r"row 1: .*\(list\)"),
        ("\ud83d", "row 1: holds half a surrogate pair"),
        (("a", "\ud83d"), "row 1: holds half a surrogate pair"),
    ],
)
def test_what_is_no_text_is_named_by_its_row(path, row, message):
    with pytest.raises(UserError, match=message) as error:
        TextEncoder(path, 16).encode(["good", row])
    assert "\n" not in str(error.value)


def test_pairs_need_what_they_were_trained_with(path):
    with pytest.raises(UserError, match=r"row 0: is a pair.*truncation tail"):
        TextEncoder(path, 16, "tail").encode([("a", "b")])
    with pytest.raises(UserError, match="max_seq_length must be 3"):
        TextEncoder(path, 2).encode([("a", "b")])


def test_a_damaged_tokenizer_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=rf"{path}: cannot be read as a tokenizer"):
        TextEncoder(path, 16)
