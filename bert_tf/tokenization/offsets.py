"""Where in the text each word piece stands: character positions of the text as it was given."""

import unicodedata

import numpy as np
import tensorflow as tf

from bert_tf.tokenization import normalization
from bert_tf.tokenization.tokenizer import chunks

_CHARACTERS = 0x110000
_UNKNOWN = -1  # length of a character that was not met yet
_ASCII_SPACES = "\t\n\r"


class Locator:
    """Cuts texts into the pieces of a tokenizer, and says where each of them came from.

    A text is normalised character by character (lower-cased, decomposed, dropped), and what a word
    is made of is known in the normalised text; so each piece leads back to characters of the text.
    A piece begins with the first of its characters and ends after the last one, accents that are
    stripped from it included. Pieces of one character (the letters of a Hangul syllable) share it.

    Args:
      tokenizer: `BertTokenizer`.

    Example:
      >>> Locator(tokenizer).locate(["Der Café"])  # der, cafe
      [(array([...], dtype=int32), array([[0, 3], [4, 8]], dtype=int32))]
    """

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        tokens = tokenizer.vocab.tokens
        self._continues = np.array([token.startswith("##") for token in tokens])
        self._piece_lengths = np.array([len(token.removeprefix("##")) for token in tokens])
        # By the number of a character, filled as they are met: how many characters its normalised
        # form has, blanks aside, and what it is itself.
        self._lengths = np.full(_CHARACTERS, _UNKNOWN, np.int16)
        self._lengths[0xD800:0xE000] = 0  # half a surrogate pair is no text, and dropped
        self._is_mark = np.zeros(_CHARACTERS, bool)
        self._is_blank = np.zeros(_CHARACTERS, bool)

    def locate(self, texts):
        """Returns [(ids, spans)] of the texts, the pieces of each in order.

        Args:
          texts: list of str.

        Returns:
          For each text int32 [pieces] and int32 [pieces, 2]: piece i is made of the characters
          `text[spans[i, 0] : spans[i, 1]]`.
        """
        found = []
        for rows in chunks(texts):
            found += self._locate(texts[rows])
        return found

    def _locate(self, texts):
        tokenizer = self._tokenizer
        codes = [_codes(text) for text in texts]
        self._meet(codes)
        # The explicit type and shape are for no texts at all.
        encoded = tf.constant([t.encode("utf-8", "ignore") for t in texts], tf.string, [len(texts)])
        normal = self._normalized(encoded)
        words = normalization.split_words(normal, tokenizer.tokenize_chinese_chars)
        lengths = words.with_values(tf.strings.length(words.values, "UTF8_CHAR")).to_list()
        ids = [np.array(row, np.int32) for row in tokenizer.tokenize(encoded).to_list()]
        return [
            (pieces, self._place(text, np.array(sizes, np.int64), pieces))
            for text, sizes, pieces in zip(codes, lengths, ids, strict=True)
        ]

    def _normalized(self, texts):
        tokenizer = self._tokenizer
        return normalization.normalize(texts, tokenizer.do_lower_case, tokenizer.strip_accents)

    def _meet(self, codes):
        """Learns what the characters that were not met before become."""
        met = np.unique(np.concatenate([np.zeros(0, np.uint32), *codes]))
        new = met[self._lengths[met] == _UNKNOWN]
        if not len(new):
            return
        characters = [chr(code) for code in new]
        forms = self._normalized(tf.constant(characters)).numpy()
        self._lengths[new] = [sum(not _is_blank(c) for c in form.decode("utf-8")) for form in forms]
        self._is_mark[new] = [unicodedata.category(c)[0] == "M" for c in characters]
        self._is_blank[new] = [_is_blank(c) for c in characters]

    def _place(self, codes, word_lengths, ids):
        """int32 [pieces, 2]: the spans of one text, from its code points, words and pieces."""
        lengths = self._lengths[codes]
        origins = np.repeat(np.arange(len(codes)), lengths)  # of each character of the words
        firsts = ~self._continues[ids]
        word = np.cumsum(firsts) - 1  # of each piece
        if len(origins) != word_lengths.sum() or firsts.sum() != len(word_lengths):
            raise ValueError(f"cannot tell where the pieces of a text stand: {_text(codes)!r}")
        word_starts = np.cumsum(word_lengths) - word_lengths
        sizes = np.where(
            ids == self._tokenizer.vocab.unk_id, word_lengths[word], self._piece_lengths[ids]
        )
        starts = np.cumsum(sizes) - sizes
        if not np.array_equal(starts[firsts], word_starts) or sizes.sum() != word_lengths.sum():
            raise ValueError(f"the pieces of a text do not make up its words: {_text(codes)!r}")
        spans = np.stack([origins[starts], origins[starts + sizes - 1] + 1], -1).astype(np.int32)
        dropped = self._is_mark[codes] & (lengths == 0)
        if dropped.any():
            ends = _past_marks(lengths, dropped, self._is_blank[codes])
            spans[:, 1] = ends[spans[:, 1] - 1]
        return spans


def _past_marks(lengths, marks, blanks):
    """int [characters]: the end of what belongs to each, the stripped marks after it included."""
    ends = np.arange(1, len(lengths) + 1)
    own = None  # the character that marks belong to
    for index in range(len(lengths)):
        if lengths[index] or blanks[index]:
            own = None if blanks[index] else index
        elif marks[index] and own is not None:
            ends[own] = index + 1
    return ends


def _is_blank(character):
    """Whether a character parts words: a space of Unicode or, in plain texts, of ASCII."""
    return character in _ASCII_SPACES or unicodedata.category(character)[0] == "Z"


def _codes(text):
    """uint32 [characters]: the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _text(codes):
    return "".join(map(chr, codes[:200]))
