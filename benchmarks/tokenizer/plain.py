"""BERT's tokenisation as plain Python, one character at a time.

The control of benchmarks.tokenizer and the oracle of the tokenizer's tests: the same rules as
bert_tf.tokenization, without TensorFlow and without any shortcut.
"""

import unicodedata

MAX_WORD_CHARACTERS = 200

# First and last code point of the blocks whose every character is a token of its own.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class PlainTokenizer:
    """Text to pieces, pieces to ids, ids to one [CLS] a [SEP] b [SEP] sequence.

    Args:
      ids: {token: id}, with [UNK], [CLS] and [SEP].
      do_lower_case: lower-case and strip accents first.
      strip_accents: as `BertTokenizer`'s.
      tokenize_chinese_chars: as `BertTokenizer`'s.
    """

    def __init__(self, ids, do_lower_case=True, strip_accents=None, tokenize_chinese_chars=True):
        self.ids = ids
        self.do_lower_case = do_lower_case
        self.strip_accents = do_lower_case if strip_accents is None else strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars

    def tokens(self, text):
        """Returns the pieces of `text`, a list of str."""
        return [piece for word in self._words(text) for piece in self._pieces(word)]

    def encode(self, text_a, text_b=None, max_seq_length=128):
        """Returns (ids, first_length): the sequence, and how much of it has token type 0."""
        a = self.tokens(text_a)
        b = self.tokens(text_b) if text_b is not None else None
        if b is None:
            a = a[: max_seq_length - 2]
        else:
            truncate_pair(a, b, max_seq_length - 3)
        sequence = ["[CLS]", *a, "[SEP]"]
        first_length = len(sequence)
        if b is not None:
            sequence += [*b, "[SEP]"]
        return [self.ids[token] for token in sequence], first_length

    def _words(self, text):
        spaced = []
        for char in _clean(text):
            alone = self.tokenize_chinese_chars and _is_ideograph(char)
            spaced.append(f" {char} " if alone else char)
        words = []
        for word in "".join(spaced).split():
            if self.do_lower_case:
                word = word.lower()
            if self.strip_accents:
                word = _strip_accents(word)
            words.extend(_split_punctuation(word))
        return " ".join(words).split()

    def _pieces(self, word):
        if len(word) > MAX_WORD_CHARACTERS:
            return ["[UNK]"]
        pieces, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = prefix + word[start:end]
                if piece in self.ids:
                    pieces.append(piece)
                    start = end
                    break
            else:
                return ["[UNK]"]
        return pieces


def truncate_pair(a, b, limit):
    """Drops last tokens of the longer list (of `b` on a tie), in place, down to `limit` in all."""
    while len(a) + len(b) > limit:
        longer = a if len(a) > len(b) else b
        longer.pop()


def _clean(text):
    kept = []
    for char in text:
        if char in "\t\n\r" or unicodedata.category(char) == "Zs":
            kept.append(" ")
        elif char not in "\0\ufffd" and unicodedata.category(char) not in ("Cc", "Cf"):
            kept.append(char)
    return "".join(kept)


def _strip_accents(word):
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def _split_punctuation(word):
    parts, joined = [], False
    for char in word:
        if _is_punctuation(char):
            parts.append(char)
            joined = False
        elif joined:
            parts[-1] += char
        else:
            parts.append(char)
            joined = True
    return parts


def _is_ideograph(char):
    code = ord(char)
    return any(first <= code <= last for first, last in _IDEOGRAPHS)


def _is_punctuation(char):
    code = ord(char)
    ascii_symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_symbol or unicodedata.category(char).startswith("P")
