"""Masks of masked-LM training, drawn while training (Devlin et al., 2019, section 3.1)."""

import dataclasses
import re

import numpy as np

from bert_tf.data.pretraining.bits import below, random_bits, stream_key
from bert_tf.errors import UserError
from bert_tf.tokenization import vocab as vocab_lib

_UNUSED = re.compile(r"\[unused\d+\]")
_MASKED, _KEPT = 0.8, 0.1  # shares of the chosen tokens; the others are replaced
_STREAMS = {"train": 0, "validation": 1}
# Bits below 2**63 in every key, so that a position that must not be chosen sorts behind all.
_NEVER = np.uint64(1 << 63)


def num_predictions(length, probability, limit=None):
    """Returns how many tokens of a sequence are predicted: max(1, round(probability * length)).

    Google's arithmetic: the length counts special tokens, and a half is rounded to even.

    Args:
      length: tokens of the sequence, special ones included.
      probability: share of them to predict.
      limit: at most this many; None for no limit.
    """
    count = max(1, round(probability * length))
    return count if limit is None else min(limit, count)


@dataclasses.dataclass(frozen=True)
class Masking:
    """How tokens are masked.

    Attributes:
      probability: share of a row's tokens that are predicted, in (0, 1).
      whole_word: choose all the pieces of a word or none; a word that no longer fits the number of
        predictions is passed over, so a few of a row's places may stay empty (weight 0).
      seed: another one gives other masks.

    Raises:
      UserError: probability is outside (0, 1).
    """

    probability: float = 0.15
    whole_word: bool = False
    seed: int = 42

    def __post_init__(self):
        if not 0 < self.probability < 1:
            raise UserError(f"--mlm_probability={self.probability}: expected a number in (0, 1)")

    def predictions(self, seq_length):
        """Returns the predictions per row (int), the same for every full row: static shapes."""
        return num_predictions(seq_length, self.probability)


class Masker:
    """Draws the masks of rows: a pure function of seed, split and each row's number.

    Of the chosen tokens 80 % become [MASK], 10 % stay, 10 % become a random token. Neither the
    chosen nor the random ones are special ([PAD], [UNK], [CLS], [SEP], [MASK]); the random ones
    are no [unused*] either.

    Args:
      masking: `Masking`.
      vocab: `Vocab` that the rows were made with.
      seq_length: tokens per row.

    Raises:
      UserError: the vocabulary has no [MASK] or nothing but special tokens.
    """

    def __init__(self, masking, vocab, seq_length):
        special = {
            vocab.ids[token]
            for token in (vocab_lib.PAD, vocab_lib.UNK, vocab_lib.CLS, vocab_lib.SEP)
        } | {vocab.mask_id}
        self._masking = masking
        self._mask_id = vocab.mask_id
        self._count = masking.predictions(seq_length)
        self._special = np.zeros(len(vocab), bool)
        self._special[list(special)] = True
        self._continues = np.array([token.startswith("##") for token in vocab.tokens])
        self._replacements = np.array(
            [i for i, token in enumerate(vocab.tokens) if _is_real(vocab, token, i, special)],
            np.int32,
        )
        if not len(self._replacements):
            raise UserError(f"{vocab.path}: the vocabulary has nothing but special tokens")

    def __call__(self, rows, numbers, split="train"):
        """Masks rows.

        Args:
          rows: int32 [b, t] token ids; unchanged.
          numbers: int [b], what each row's masks depend on: its position in the stream of training
            rows, so that every epoch masks anew, or the number of a validation row.
          split: "train" or "validation", whose masks have nothing in common.

        Returns:
          {"input_word_ids": int32 [b, t], "masked_lm_positions", "masked_lm_ids": int32 [b, p],
          "masked_lm_weights": float32 [b, p]}: the positions ascend, those of weight 0 come last
          and are 0, as are their ids.
        """
        rows = np.asarray(rows, np.int32)
        starts = (np.asarray(numbers, np.uint64) * np.uint64(rows.shape[1]))[:, None]
        within = starts + np.arange(rows.shape[1], dtype=np.uint64)
        key = stream_key(self._masking.seed, _STREAMS[split])
        chosen = self._choose(rows, random_bits(key, within) >> np.uint64(1))
        places = np.sort(np.where(chosen >= 0, chosen, rows.shape[1]), axis=1)
        real = places < rows.shape[1]
        positions = np.where(real, places, 0).astype(np.int32)
        labels = np.where(real, np.take_along_axis(rows, positions, 1), 0).astype(np.int32)
        draws = random_bits(stream_key(key, 1), starts + positions.astype(np.uint64))
        masked = rows.copy()
        masked[np.nonzero(real)[0], positions[real]] = self._shown(labels[real], draws[real])
        return {
            "input_word_ids": masked,
            "masked_lm_positions": positions,
            "masked_lm_ids": labels,
            "masked_lm_weights": real.astype(np.float32),
        }

    def _choose(self, rows, keys):
        """Returns int64 [b, p]: the positions to predict in any order, -1 where there is none."""
        candidates = ~self._special[rows]
        if self._masking.whole_word:
            return _choose_words(candidates, self._continues[rows], keys, self._count)
        keys = np.where(candidates, keys, _NEVER)
        count = min(self._count, rows.shape[1])
        chosen = np.argpartition(keys, count - 1, axis=1)[:, :count]
        return np.where(np.take_along_axis(candidates, chosen, 1), chosen, -1)

    def _shown(self, labels, draws):
        """What stands in the place of chosen tokens: int32 [n], by uint64 [n] of random bits."""
        share = (draws & np.uint64(0xFFFFFFFF)).astype(np.float64) / (1 << 32)
        other = self._replacements[below(draws, len(self._replacements))]
        return np.where(
            share < _MASKED, self._mask_id, np.where(share < _MASKED + _KEPT, labels, other)
        ).astype(np.int32)


def _choose_words(candidates, continues, keys, count):
    """Whole words in the order of their first piece's key, each that still fits `count`.

    Google's rule (do_whole_word_mask): a word that would overshoot is passed over. Rows are done
    side by side, one word of each per turn.

    Args:
      candidates: bool [b, t], may be predicted.
      continues: bool [b, t], is a piece that goes on with a word (##).
      keys: uint64 [b, t].
      count: int.

    Returns:
      int64 [b, count], -1 where nothing fits.
    """
    batch, length = candidates.shape
    follows = np.zeros_like(candidates)
    follows[:, 1:] = candidates[:, :-1]
    heads = candidates & ~(continues & follows)
    word = np.where(candidates, np.cumsum(heads, axis=1) - 1, length)
    lengths = np.zeros((batch, length + 1), np.int64)
    np.add.at(lengths, (np.arange(batch)[:, None], word), 1)
    order = np.argsort(np.where(heads, keys, _NEVER), axis=1)
    ranked = np.take_along_axis(word, order, 1)
    taken = np.zeros((batch, length + 1), bool)
    left = np.full(batch, count)
    everyone = np.arange(batch)
    for turn in range(int(heads.sum(1).max(initial=0))):
        now = ranked[:, turn]
        fits = heads[everyone, order[:, turn]] & (lengths[everyone, now] <= left)
        taken[everyone[fits], now[fits]] = True
        left -= np.where(fits, lengths[everyone, now], 0)
        if not left.any():
            break
    taken[:, length] = False
    selected = np.take_along_axis(taken, word, 1)
    chosen = np.argsort(~selected, axis=1, kind="stable")[:, :count]
    return np.where(np.take_along_axis(selected, chosen, 1), chosen, -1)


def _is_real(vocab, token, token_id, special):
    """Whether a line of the vocabulary is a piece of text: not special, not reserved, not blank."""
    return bool(
        token
        and token_id not in special
        and vocab.ids[token] == token_id
        and not _UNUSED.fullmatch(token)
    )
