"""BERT's tokenizer in the TensorFlow graph."""

import hashlib
import itertools
import unicodedata

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.errors import UserError
from bert_tf.tokenization import normalization
from bert_tf.tokenization import vocab as vocab_lib

# Text handled at once by encode_flat: bounds its memory. A row counts for its characters and this:
_ROW_COST = 64
_CHUNK_COST = 1 << 20

# Part of the fingerprint: raise it when the same text and vocabulary give other ids.
_RECIPE = 1

# Nothing here needs autograph, and converting the libraries below takes seconds at the first call.
_without_autograph = tf.autograph.experimental.do_not_convert


class BertTokenizer(tf.Module):
    """Text to word-piece ids: Google BERT's result at the speed of TensorFlow Text.

    `tokenize` and `encode` work in eager mode, in `tf.data`, and inside a SavedModel (whose reader
    must `import tensorflow_text` for the operations). Special tokens in a text are not protected:
    "[MASK]" is three tokens. Bytes that are not UTF-8 are dropped. Words of over 200 characters are
    [UNK]. Lower-casing knows the letters of Unicode 13, as TensorFlow does: the capitals that came
    later (Vithkuqi, five Latin ones and a Glagolitic one) are left as they are.

    Args:
      vocab: a Vocab, or the path of a vocab.txt.
      do_lower_case: lower-case and strip accents: True for uncased models.

    Raises:
      UserError: the vocabulary cannot be used (see load_vocab).

    Example:
      >>> tokenizer = BertTokenizer("vocab.txt")
      >>> tokenizer.tokens(["Unaffable naïveté"])
      [['una', '##ffa', '##ble', 'naive', '##te']]
      >>> tokenizer.encode(["a first text"], ["and its pair"])["input_type_ids"]
    """

    def __init__(self, vocab, do_lower_case=True):
        super().__init__(name="bert_tokenizer")
        self.vocab = vocab if isinstance(vocab, vocab_lib.Vocab) else vocab_lib.load_vocab(vocab)
        self.do_lower_case = do_lower_case
        try:
            self._pieces = tf_text.FastBertTokenizer(
                vocab=_usable_tokens(self.vocab),
                max_bytes_per_word=normalization.MAX_WORD_BYTES,
                token_out_type=tf.int32,
                unknown_token=vocab_lib.UNK,
                lower_case_nfd_strip_accents=False,
            )
        except RuntimeError as e:
            raise UserError(f"{self.vocab.path}: the vocabulary cannot be used: {e}") from e
        texts = tf.TensorSpec([None], tf.string)
        length = tf.TensorSpec([], tf.int64)
        self._encode_single = tf.function(
            self._single, input_signature=[texts, length], autograph=False
        )
        self._encode_pair = tf.function(
            self._pair, input_signature=[texts, texts, length], autograph=False
        )

    @property
    def fingerprint(self):
        """Hex digest that changes with whatever could change an id: vocabulary, case, recipe."""
        parts = (_RECIPE, self.do_lower_case, self.vocab.tokens)
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    @_without_autograph
    def tokenize(self, texts):
        """Cuts texts into pieces.

        Args:
          texts: string [n], UTF-8.

        Returns:
          int32 RaggedTensor [n, pieces].
        """
        texts = tf.convert_to_tensor(texts, tf.string)
        texts.shape.assert_has_rank(1)
        texts = normalization.normalize(texts, self.do_lower_case)
        return self._pieces.tokenize(normalization.hide_long_words(texts))

    def tokens(self, texts):
        """Returns the pieces of each text: [n] str -> list of lists of str."""
        return [[self.vocab.tokens[i] for i in row] for row in self.tokenize(texts).to_list()]

    @_without_autograph
    def encode(self, text_a, text_b=None, max_seq_length=128):
        """Builds the encoder's inputs: [CLS] a [SEP] with type 0, then b [SEP] with type 1.

        Args:
          text_a: string [n].
          text_b: string [n], or None for single texts.
          max_seq_length: int; sequences are cut to this many tokens, specials included: a single
            text at its end, a pair one token at a time from the end of the longer (of b on a tie).

        Returns:
          {input_word_ids, input_mask, input_type_ids}: int32 [n, longest], padded with [PAD].

        Raises:
          UserError: max_seq_length leaves no room for [CLS] and [SEP].
        """
        _check_length(max_seq_length, text_b is not None)
        if text_b is None:
            ids, first_lengths = self._single(text_a, max_seq_length)
        else:
            ids, first_lengths = self._pair(text_a, text_b, max_seq_length)
        dense = ids.to_tensor(self.vocab.pad_id)  # [n, longest]
        mask = tf.sequence_mask(ids.row_lengths(), tf.shape(dense)[1])
        first = tf.sequence_mask(first_lengths, tf.shape(dense)[1])
        return {
            "input_word_ids": dense,
            "input_mask": tf.cast(mask, tf.int32),
            "input_type_ids": tf.cast(mask & ~first, tf.int32),
        }

    def encode_flat(self, texts_a, texts_b=None, max_seq_length=128):
        """Encodes a whole data set into flat arrays, a bounded piece at a time.

        Args:
          texts_a: list of n str.
          texts_b: list of n str, or None for single texts.
          max_seq_length: as in `encode`.

        Returns:
          ids: int32 [total], the sequences of `encode` end to end without padding.
          offsets: int64 [n + 1]; example i is `ids[offsets[i] : offsets[i + 1]]`.
          first_lengths: int32 [n], how many positions of each example have token type 0.

        Raises:
          UserError: max_seq_length leaves no room for [CLS] and [SEP].
        """
        _check_length(max_seq_length, texts_b is not None)
        ids, lengths, first_lengths = [], [], []
        for rows in _chunks(texts_a, texts_b):
            # The explicit type and shape are for no rows at all.
            chunk_a = tf.constant(texts_a[rows], tf.string, [rows.stop - rows.start])
            if texts_b is None:
                chunk, first = self._encode_single(chunk_a, max_seq_length)
            else:
                chunk_b = tf.constant(texts_b[rows], tf.string, [rows.stop - rows.start])
                chunk, first = self._encode_pair(chunk_a, chunk_b, max_seq_length)
            ids.append(chunk.values.numpy())
            lengths.append(chunk.row_lengths().numpy())
            first_lengths.append(first.numpy())
        offsets = np.zeros(len(texts_a) + 1, np.int64)
        np.cumsum(np.concatenate(lengths), out=offsets[1:])
        return np.concatenate(ids), offsets, np.concatenate(first_lengths).astype(np.int32)

    def _single(self, text_a, max_seq_length):
        """Returns int32 RaggedTensor [n, length] and int64 [n]: positions of type 0."""
        a = self.tokenize(text_a)
        a = _keep_first(a, tf.minimum(a.row_lengths(), max_seq_length - 2))
        cls, sep = self._specials(a.nrows())
        return tf.concat([cls, a, sep], axis=1), a.row_lengths() + 2

    def _pair(self, text_a, text_b, max_seq_length):
        """As `_single`, for pairs."""
        a, b = self.tokenize(text_a), self.tokenize(text_b)
        keep_a, keep_b = _pair_lengths(a.row_lengths(), b.row_lengths(), max_seq_length - 3)
        cls, sep = self._specials(a.nrows())
        a, b = _keep_first(a, keep_a), _keep_first(b, keep_b)
        return tf.concat([cls, a, sep, b, sep], axis=1), keep_a + 2

    def _specials(self, count):
        """Columns [count, 1] of [CLS] and of [SEP], ragged like what stands beside them."""
        return [
            tf.RaggedTensor.from_uniform_row_length(tf.fill([count], token_id), 1)
            for token_id in (self.vocab.cls_id, self.vocab.sep_id)
        ]


def _check_length(max_seq_length, is_pair):
    specials = 3 if is_pair else 2
    if max_seq_length < specials:
        raise UserError(
            f"max_seq_length must be {specials} or more to hold [CLS] and [SEP],"
            f" found {max_seq_length}"
        )


def _pair_lengths(a, b, limit):
    """Lengths left after dropping tokens of the longer one, of b on a tie, until a + b <= limit."""
    excess = tf.maximum(a + b - limit, 0)
    level = tf.minimum(excess, tf.abs(a - b))  # dropped from the longer alone, until both are equal
    rest = excess - level  # then in turns, b first
    drop_a = tf.where(a > b, level, 0) + rest // 2
    drop_b = tf.where(b > a, level, 0) + (rest + 1) // 2
    return a - drop_a, b - drop_b


def _keep_first(pieces, lengths):
    """The first `lengths` [n] pieces of each row."""
    starts = pieces.row_starts()
    kept = tf.ragged.range(starts, starts + lengths)
    return kept.with_values(tf.gather(pieces.values, kept.values))


def _usable_tokens(vocab):
    """Tokens as the word-piece operation wants them: unique, without spaces and control characters.

    The others stand on the same lines as texts that no word equals; Google's program cannot find
    them in any text either.
    """
    return [
        token if vocab.ids[token] == i and _may_be_a_piece(token) else f"[line {i + 1}]"
        for i, token in enumerate(vocab.tokens)
    ]


def _may_be_a_piece(token):
    return bool(token) and not any(
        char.isspace() or char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf")
        for char in token
    )


def _chunks(texts_a, texts_b):
    """Slices of rows whose texts are about _CHUNK_COST characters together."""
    cost = np.fromiter(map(len, texts_a), np.int64, len(texts_a)) + _ROW_COST
    if texts_b is not None:
        cost += np.fromiter(map(len, texts_b), np.int64, len(texts_b))
    chunk = np.cumsum(cost) // _CHUNK_COST
    bounds = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(texts_a)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
