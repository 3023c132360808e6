"""Masks: how many, where, what stands there, and that they are a pure function."""

import numpy as np
import pytest

from bert_tf.data.pretraining.masking import Masker, Masking, num_predictions
from bert_tf.errors import UserError
from bert_tf.tokenization.vocab import Vocab

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", ""]
TOKENS += [f"w{i}" for i in range(60)] + [f"##p{i}" for i in range(40)]
VOCAB = Vocab("vocab.txt", TOKENS, {token: i for i, token in enumerate(TOKENS)})
WORDS, PIECES = np.arange(7, 67), np.arange(67, 107)
SPECIAL = [0, 1, 2, 3, 4]


def make_rows(count, length=128, seed=0):
    """Rows of words of 1 to 4 pieces, with [SEP] here and there, and an [UNK]."""
    rng = np.random.default_rng(seed)
    tokens = [2]
    while len(tokens) < count * length:
        tokens += [rng.choice(WORDS), *rng.choice(PIECES, rng.integers(0, 4))]
        tokens += [3] * (rng.random() < 0.05) + [1] * (rng.random() < 0.05)
    rows = np.array(tokens[: count * length], np.int32).reshape(count, length)
    rows[:, 0] = 2
    return rows


@pytest.fixture(scope="module")
def rows():
    return make_rows(400)


def test_number_of_predictions_is_the_original_programs():
    # academic-budget-bert's and Google's: a half is rounded to even, at least 1, at most 20.
    lengths = (3, 10, 30, 50, 110, 128, 512)
    assert [num_predictions(n, 0.15, 20) for n in lengths] == [1, 2, 4, 8, 16, 19, 20]
    # Theirs masks under 4 % of 512 tokens for the limit of 20; ours has none.
    assert Masking().predictions(512) == 77
    assert Masking(0.25).predictions(128) == 32


@pytest.mark.parametrize("whole_word", [False, True])
def test_masked_rows(rows, whole_word):
    masking = Masking(0.15, whole_word)
    found = Masker(masking, VOCAB, 128)(rows, np.arange(len(rows)))
    ids, positions = found["input_word_ids"], found["masked_lm_positions"]
    labels, weights = found["masked_lm_ids"], found["masked_lm_weights"]
    assert {name: value.dtype.name for name, value in found.items()} == {
        "input_word_ids": "int32",
        "masked_lm_positions": "int32",
        "masked_lm_ids": "int32",
        "masked_lm_weights": "float32",
    }
    assert positions.shape == labels.shape == weights.shape == (len(rows), 19)
    restored = ids.copy()
    for row in range(len(rows)):
        real = weights[row] == 1
        assert (np.diff(positions[row, real]) > 0).all()
        assert (positions[row, ~real] == 0).all() and (labels[row, ~real] == 0).all()
        np.testing.assert_array_equal(labels[row, real], rows[row, positions[row, real]])
        restored[row, positions[row, real]] = labels[row, real]
    np.testing.assert_array_equal(restored, rows)  # nothing else was changed
    assert not np.isin(labels[weights == 1], SPECIAL).any()
    assert weights.mean() == 1 if not whole_word else weights.mean() > 0.98


def test_whole_words_are_masked_whole(rows):
    found = Masker(Masking(0.15, whole_word=True), VOCAB, 128)(rows, np.arange(len(rows)))
    chosen = np.zeros(rows.shape, bool)
    row, column = np.nonzero(found["masked_lm_weights"])
    chosen[row, found["masked_lm_positions"][row, column]] = True
    goes_on = np.isin(rows[:, 1:], PIECES) & ~np.isin(rows[:, :-1], SPECIAL)
    np.testing.assert_array_equal(chosen[:, 1:][goes_on], chosen[:, :-1][goes_on])
    assert (chosen & np.isin(rows, PIECES)).any()


def test_eighty_ten_ten(rows):
    rows = np.tile(rows, (8, 1))
    found = Masker(Masking(), VOCAB, 128)(rows, np.arange(len(rows)))
    shown = np.take_along_axis(found["input_word_ids"], found["masked_lm_positions"], 1)
    masked, kept = shown == VOCAB.mask_id, shown == found["masked_lm_ids"]
    assert masked.mean() == pytest.approx(0.8, abs=0.006)
    assert kept.mean() == pytest.approx(0.1 + 0.1 / 100, abs=0.005)  # a random one may be the same
    others = shown[~masked & ~kept]
    assert others.size / shown.size == pytest.approx(0.099, abs=0.005)
    # Every real token of the vocabulary, and nothing special, reserved or blank.
    assert set(np.unique(others)) == {*WORDS.tolist(), *PIECES.tolist()}


def test_every_position_is_as_likely():
    rows = np.full((4000, 32), WORDS[0], np.int32)
    found = Masker(Masking(0.25), VOCAB, 32)(rows, np.arange(4000))
    shares = np.bincount(found["masked_lm_positions"].ravel(), minlength=32) / 4000
    np.testing.assert_allclose(shares, 0.25, atol=0.035)


def test_masks_depend_on_seed_split_and_number_alone(rows):
    numbers = np.arange(400) + 5_000_000_000
    masker = Masker(Masking(), VOCAB, 128)
    whole = masker(rows, numbers)
    again = Masker(Masking(), VOCAB, 128)(rows[100:110], numbers[100:110])
    for name, value in again.items():
        np.testing.assert_array_equal(value, whole[name][100:110])
    for other in (
        masker(rows, numbers + 400),  # the next epoch
        masker(rows, numbers, "validation"),
        Masker(Masking(seed=43), VOCAB, 128)(rows, numbers),
    ):
        different = other["masked_lm_positions"] != whole["masked_lm_positions"]
        assert different.any(axis=1).all()


def test_row_with_few_words():
    rows = np.full((1, 16), 3, np.int32)
    rows[0, 4] = WORDS[3]
    for whole_word in (False, True):
        found = Masker(Masking(0.25, whole_word), VOCAB, 16)(rows, [0])
        assert found["masked_lm_weights"].tolist() == [[1, 0, 0, 0]]
        assert found["masked_lm_positions"].tolist() == [[4, 0, 0, 0]]


def test_bad_settings():
    with pytest.raises(UserError, match=r"--mlm_probability=1\.5"):
        Masking(1.5)
    bare = Vocab("vocab.txt", TOKENS[:4], {token: i for i, token in enumerate(TOKENS[:4])})
    with pytest.raises(UserError, match=r"no \[MASK\]"):
        Masker(Masking(), bare, 16)
    bare = Vocab("vocab.txt", TOKENS[:7], {token: i for i, token in enumerate(TOKENS[:7])})
    with pytest.raises(UserError, match="nothing but special tokens"):
        Masker(Masking(), bare, 16)
