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

TRUNCATIONS = ("head", "tail", "head_tail")
"""What may stay of a text that is too long, see `BertTokenizer.encode`."""

# Text handled at once by encode_flat: bounds its memory. A row counts for its characters and this:
_ROW_COST = 64
_CHUNK_COST = 1 << 20

# The share of a long text's pieces that head_tail takes from its front: of 510, Sun et al. (2019,
# "How to Fine-Tune BERT for Text Classification?") favour the first 128 and the last 382.
_FRONT_SHARE = 128 / 510

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
      strip_accents: strip accents whether or not letters are lower-cased; None is as do_lower_case.
        False leaves combining marks as the text has them (Hugging Face's fast tokenizer).
      tokenize_chinese_chars: each CJK ideograph is a word of its own; False leaves them in theirs.

    Raises:
      UserError: the vocabulary cannot be used (see load_vocab).

    Example:
      >>> tokenizer = BertTokenizer("vocab.txt")
      >>> tokenizer.tokens(["Unaffable naïveté"])
      [['una', '##ffa', '##ble', 'naive', '##te']]
      >>> tokenizer.encode(["a first text"], ["and its pair"])["input_type_ids"]
    """

    def __init__(self, vocab, do_lower_case=True, strip_accents=None, tokenize_chinese_chars=True):
        super().__init__(name="bert_tokenizer")
        self.vocab = vocab if isinstance(vocab, vocab_lib.Vocab) else vocab_lib.load_vocab(vocab)
        self.do_lower_case = do_lower_case
        self.strip_accents = do_lower_case if strip_accents is None else strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        # The first cuts texts into words, too, but always around ideographs.
        if tokenize_chinese_chars:
            kind, options = tf_text.FastBertTokenizer, {"lower_case_nfd_strip_accents": False}
        else:
            kind, options = tf_text.FastWordpieceTokenizer, {"no_pretokenization": True}
        try:
            self._pieces = kind(
                vocab=_usable_tokens(self.vocab),
                max_bytes_per_word=normalization.MAX_WORD_BYTES,
                token_out_type=tf.int32,
                unknown_token=vocab_lib.UNK,
                **options,
            )
        except RuntimeError as e:
            raise UserError(f"{self.vocab.path}: the vocabulary cannot be used: {e}") from e
        texts = tf.TensorSpec([None], tf.string)
        length = tf.TensorSpec([], tf.int64)
        self._encode_single = tf.function(
            self._single, input_signature=[texts, length, length], autograph=False
        )
        self._encode_pair = tf.function(
            self._pair, input_signature=[texts, texts, length], autograph=False
        )

    @property
    def settings(self):
        """{name: value} of how text is treated: what makes the same tokenizer of a vocabulary.

        Those that differ from Google's: strip_accents only where it is not as do_lower_case,
        tokenize_chinese_chars only if False.
        """
        settings = {"do_lower_case": self.do_lower_case}
        if self.strip_accents != self.do_lower_case:
            settings["strip_accents"] = self.strip_accents
        if not self.tokenize_chinese_chars:
            settings["tokenize_chinese_chars"] = False
        return settings

    @property
    def fingerprint(self):
        """Hex digest that changes with whatever could change an id: vocabulary, case, recipe."""
        parts = (_RECIPE, self.do_lower_case, self.vocab.tokens)
        if len(self.settings) > 1:  # else the digest of those that know no other settings
            parts += (sorted(self.settings.items()),)
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
        texts = normalization.normalize(texts, self.do_lower_case, self.strip_accents)
        texts = normalization.hide_long_words(texts, self.tokenize_chinese_chars)
        if self.tokenize_chinese_chars:
            return self._pieces.tokenize(texts)
        words = normalization.split_words(texts, tokenize_chinese_chars=False)
        return self._pieces.tokenize(words).merge_dims(1, 2)

    def tokens(self, texts):
        """Returns the pieces of each text: [n] str -> list of lists of str."""
        return [[self.vocab.tokens[i] for i in row] for row in self.tokenize(texts).to_list()]

    @_without_autograph
    def encode(self, text_a, text_b=None, max_seq_length=128, truncation="head"):
        """Builds the encoder's inputs: [CLS] a [SEP] with type 0, then b [SEP] with type 1.

        Args:
          text_a: string [n].
          text_b: string [n], or None for single texts.
          max_seq_length: int; sequences are cut to this many tokens, specials included: a single
            text as `truncation` says, a pair one token at a time from the end of the longer (of b
            on a tie).
          truncation: what stays of a single text of more than n = max_seq_length - 2 pieces: its
            first n (`head`), its last n (`tail`), or the first round(128 / 510 * n) and the rest
            from its end (`head_tail`, the favoured cut of Sun et al., 2019, at any length).

        Returns:
          {input_word_ids, input_mask, input_type_ids}: int32 [n, longest], padded with [PAD].

        Raises:
          UserError: max_seq_length leaves no room for [CLS] and [SEP], there is no such
            truncation, or not for pairs.
        """
        _check_length(max_seq_length, text_b is not None)
        _check_truncation(truncation, text_b is not None)
        if text_b is None:
            front = _front_pieces(max_seq_length, truncation)
            ids, first_lengths = self._single(text_a, max_seq_length, front)
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

    def encode_flat(self, texts_a, texts_b=None, max_seq_length=128, truncation="head"):
        """Encodes a whole data set into flat arrays, a bounded piece at a time.

        Args:
          texts_a: list of n str.
          texts_b: list of n str, or None for single texts.
          max_seq_length, truncation: as in `encode`.

        Returns:
          ids: int32 [total], the sequences of `encode` end to end without padding.
          offsets: int64 [n + 1]; example i is `ids[offsets[i] : offsets[i + 1]]`.
          first_lengths: int32 [n], how many positions of each example have token type 0.

        Raises:
          UserError: as `encode`.
        """
        _check_length(max_seq_length, texts_b is not None)
        _check_truncation(truncation, texts_b is not None)
        front = _front_pieces(max_seq_length, truncation)
        ids, lengths, first_lengths = [], [], []
        for rows in chunks(texts_a, texts_b):
            # The explicit type and shape are for no rows at all.
            chunk_a = tf.constant(texts_a[rows], tf.string, [rows.stop - rows.start])
            if texts_b is None:
                chunk, first = self._encode_single(chunk_a, max_seq_length, front)
            else:
                chunk_b = tf.constant(texts_b[rows], tf.string, [rows.stop - rows.start])
                chunk, first = self._encode_pair(chunk_a, chunk_b, max_seq_length)
            ids.append(chunk.values.numpy())
            lengths.append(chunk.row_lengths().numpy())
            first_lengths.append(first.numpy())
        offsets = np.zeros(len(texts_a) + 1, np.int64)
        np.cumsum(np.concatenate(lengths), out=offsets[1:])
        return np.concatenate(ids), offsets, np.concatenate(first_lengths).astype(np.int32)

    def _single(self, text_a, max_seq_length, front):
        """Returns int32 RaggedTensor [n, length] and int64 [n]: positions of type 0.

        `front` of the pieces that stay are the text's first, the others its last.
        """
        a = self.tokenize(text_a)
        keep = tf.minimum(a.row_lengths(), max_seq_length - 2)
        first = tf.minimum(keep, front)
        a = _keep_ends(a, first, keep - first)
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


def _check_truncation(truncation, is_pair):
    if truncation not in TRUNCATIONS:
        raise UserError(f"truncation={truncation}: expected one of {', '.join(TRUNCATIONS)}")
    if is_pair and truncation != "head":
        raise UserError(
            f"truncation={truncation} is for single texts: the longer one of a pair is cut at its"
            " end"
        )


def _front_pieces(max_seq_length, truncation):
    """How many of the pieces that stay of a long text are its first ones."""
    room = max_seq_length - 2
    return {"head": room, "tail": 0, "head_tail": round(_FRONT_SHARE * room)}[truncation]


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


def _keep_ends(pieces, first, last):
    """The first `first` [n] and the last `last` [n] pieces of each row."""
    starts, limits = pieces.row_starts(), pieces.row_limits()
    # Two ranges per row, one behind the other, which makes each row's kept pieces contiguous.
    kept = tf.ragged.range(
        tf.reshape(tf.stack([starts, limits - last], axis=1), [-1]),
        tf.reshape(tf.stack([starts + first, limits], axis=1), [-1]),
    )
    values = tf.gather(pieces.values, kept.values)
    return tf.RaggedTensor.from_row_lengths(values, first + last, validate=False)


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


def chunks(texts_a, texts_b=None):
    """Slices of rows whose texts are about _CHUNK_COST characters together."""
    cost = np.fromiter(map(len, texts_a), np.int64, len(texts_a)) + _ROW_COST
    if texts_b is not None:
        cost += np.fromiter(map(len, texts_b), np.int64, len(texts_b))
    chunk = np.cumsum(cost) // _CHUNK_COST
    bounds = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(texts_a)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
