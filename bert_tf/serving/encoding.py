"""Texts to the inputs of an exported model, cut as in the model's training."""

import dataclasses

import numpy as np

from bert_tf.errors import UserError, shown

CLS, SEP, PAD = "[CLS]", "[SEP]", "[PAD]"
# The share of a long text that head_tail takes from its front, as BertTokenizer does.
_FRONT_SHARE = 128 / 510
_AT_ONCE = 1024  # texts: what the library makes of one takes far more memory than its ids


@dataclasses.dataclass(frozen=True)
class Row:
    """An encoded text or pair.

    Attributes:
      ids: list of int, special tokens included.
      first_length: how many of them have token type 0.
    """

    ids: list
    first_length: int


class TextEncoder:
    """Encodes texts and pairs as `BertTokenizer.encode` does.

    Args:
      path: tokenizer.json that the exporter wrote.
      max_seq_length: longest row in tokens, special ones included.
      truncation: what stays of a longer single text: `head`, `tail` or `head_tail`. The longer one
        of a pair is cut at its end.
      threads: 1 encodes texts one by one, in the caller's thread; else the library has its own.

    Raises:
      UserError: the file is no tokenizer of the library, or lacks a special token.
    """

    def __init__(self, path, max_seq_length, truncation="head", threads=None):
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as e:  # the library raises nothing narrower
            raise UserError(f"{path}: cannot be read as a tokenizer: {e}") from e
        special = [self._tokenizer.token_to_id(token) for token in (CLS, SEP, PAD)]
        if None in special:
            raise UserError(f"{path}: lacks one of {CLS}, {SEP}, {PAD}: export the model again")
        self._cls, self._sep, self._pad = special
        self._max_seq_length = max_seq_length
        self._truncation = truncation
        self._alone = threads == 1

    def encode(self, texts):
        """Returns a list of `Row`.

        Args:
          texts: list of str, and of pairs of str.

        Raises:
          UserError: a row (named by its number, from 0) is neither, or holds half a surrogate pair.
        """
        parts, counts = [], []
        for i, row in enumerate(texts):
            found = self._texts(f"row {i}", row)
            parts += found
            counts.append(len(found))
        pieces = self._pieces(parts)
        return [
            self._single(next(pieces)) if n == 1 else self._pair(next(pieces), next(pieces))
            for n in counts
        ]

    def batch(self, rows):
        """Returns the inputs of `Row`s: {name: int64 [rows, longest row]}, padded with [PAD]."""
        shape = len(rows), max(len(row.ids) for row in rows)
        ids = np.full(shape, self._pad, np.int64)
        mask, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = row.ids
            mask[i, : len(row.ids)] = 1
            types[i, row.first_length : len(row.ids)] = 1
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

    def _pieces(self, texts):
        """Yields the ids of each text, without special tokens."""
        if self._alone:  # a batch, even of one text, starts the library's threads
            for text in texts:
                yield self._tokenizer.encode(text, add_special_tokens=False).ids
            return
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            for found in self._tokenizer.encode_batch_fast(part, add_special_tokens=False):
                yield found.ids

    def _texts(self, where, row):
        """The texts of a row, one or two, after a check of each."""
        if isinstance(row, str):
            texts = [row]
        elif isinstance(row, tuple | list) and [isinstance(x, str) for x in row] == [True, True]:
            texts = list(row)
            self._check_pair(where)
        else:
            raise UserError(
                f"{where}: found {shown(str(row))} ({type(row).__name__}), expected a text (str) or"
                " a pair of texts"
            )
        for text in texts:
            try:
                text.encode()
            except UnicodeEncodeError as e:
                raise UserError(f"{where}: holds half a surrogate pair, expected text") from e
        return texts

    def _check_pair(self, where):
        if self._truncation != "head":
            raise UserError(
                f"{where}: is a pair, but the model was fine-tuned with truncation"
                f" {self._truncation}, which is for single texts: give one text a row"
            )
        if self._max_seq_length < 3:
            raise UserError(f"{where}: is a pair, for which max_seq_length must be 3 or more")

    def _single(self, pieces):
        room = self._max_seq_length - 2
        if len(pieces) > room:
            front = {"head": room, "tail": 0, "head_tail": round(_FRONT_SHARE * room)}
            first = front[self._truncation]
            pieces = pieces[:first] + pieces[len(pieces) - room + first :]
        ids = [self._cls, *pieces, self._sep]
        return Row(ids, len(ids))

    def _pair(self, a, b):
        keep_a, keep_b = _pair_lengths(len(a), len(b), self._max_seq_length - 3)
        first = [self._cls, *a[:keep_a], self._sep]
        return Row([*first, *b[:keep_b], self._sep], len(first))


def _pair_lengths(a, b, limit):
    """Lengths left after dropping tokens of the longer one, of b on a tie, until a + b <= limit."""
    excess = max(a + b - limit, 0)
    level = min(excess, abs(a - b))  # dropped from the longer alone, until both are equal
    rest = excess - level  # then in turns, b first
    drop_a = (level if a > b else 0) + rest // 2
    drop_b = (level if b > a else 0) + (rest + 1) // 2
    return a - drop_a, b - drop_b
