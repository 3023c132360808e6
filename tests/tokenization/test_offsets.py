"""Where pieces stand in the text as it was given, whatever normalisation makes of it."""

import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.tokenization import tokenizer as tokenizer_lib
from bert_tf.tokenization.offsets import Locator
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import Vocab

LETTERS = "abcdefghijklmnopqrstuvwxyzßςσοδ0123456789αé"
TOKENS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "caf", "cafe", "##e", "world", "#", "[", "]", "unk", "今",
    "天", "İ", *LETTERS, *(f"##{letter}" for letter in LETTERS), ".", ",", "!", "$", "'", "-",
    *(chr(code) for code in (0x1112, 0x1161, 0x11AB)), *(f"##{chr(c)}" for c in (0x1161, 0x11AB)),
]  # fmt: skip


def make(**flags):
    tokens = list(dict.fromkeys(TOKENS))
    return BertTokenizer(Vocab("vocab.txt", tokens, {t: i for i, t in enumerate(tokens)}), **flags)


KINDS = {
    "uncased": {"do_lower_case": True},
    "cased": {"do_lower_case": False},
    "accents kept": {"do_lower_case": True, "strip_accents": False},
    "ideographs in words": {"do_lower_case": True, "tokenize_chinese_chars": False},
}


@pytest.fixture(scope="module")
def tokenizers():
    return {name: make(**flags) for name, flags in KINDS.items()}


def located(tokenizer, text):
    """[(piece, the characters it is made of)]."""
    ids, spans = Locator(tokenizer).locate([text])[0]
    return [(tokenizer.vocab.tokens[i], text[a:b]) for i, (a, b) in zip(ids, spans, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cafe  world.", [("cafe", "Cafe"), ("world", "world"), (".", ".")]),
        ("CAFÉ world", [("cafe", "CAFÉ"), ("world", "world")]),
        ("cafe\u0301 world", [("cafe", "cafe\u0301"), ("world", "world")]),
        ("cafe\u0301\u0327!", [("cafe", "cafe\u0301\u0327"), ("!", "!")]),
        ("\u0301cafe", [("cafe", "cafe")]),
        ("ca\u00adfe\u200b world\u200d", [("cafe", "ca\u00adfe"), ("world", "world")]),
        ("\ufeffworld\tcafe\r\n", [("world", "world"), ("cafe", "cafe")]),
        ("a\u00a0b\u3000c\u2028d", [("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")]),
        ("abc", [("a", "a"), ("##b", "b"), ("##c", "c")]),
        ("今天abc", [("今", "今"), ("天", "天"), ("a", "a"), ("##b", "b"), ("##c", "c")]),
        ("$5.00", [("$", "$"), ("5", "5"), (".", "."), ("0", "0"), ("##0", "0")]),
        ("[UNK] #", [("[", "["), ("unk", "UNK"), ("]", "]"), ("#", "#")]),
        ("😀😀 a", [("[UNK]", "😀😀"), ("a", "a")]),
        ("İb", [("i", "İ"), ("##b", "b")]),
        ("ΟΔΟΣ.", [("ο", "Ο"), ("##δ", "Δ"), ("##ο", "Ο"), ("##ς", "Σ"), (".", ".")]),
        ("한", [("ᄒ", "한"), ("##ᅡ", "한"), ("##ᆫ", "한")]),
        ("a\ud800b", [("a", "a"), ("##b", "b")]),
        ("\x00\ufffd\x07", []),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_pieces_of_hostile_texts(tokenizers, text, expected):
    found = located(tokenizers["uncased"], text)
    if text == "a\ud800b":  # what is dropped inside a word stands between its pieces
        assert found == expected
    else:
        assert found == expected


def test_a_word_over_the_limit_is_one_piece(tokenizers):
    word = "a" * 201
    assert located(tokenizers["uncased"], f"b {word}, c") == [
        ("b", "b"), ("[UNK]", word), (",", ","), ("c", "c"),
    ]  # fmt: skip
    assert len(located(tokenizers["uncased"], "a" * 200)) == 200


def test_other_settings(tokenizers):
    assert located(tokenizers["cased"], "Aé b") == [("[UNK]", "Aé"), ("b", "b")]
    assert located(tokenizers["accents kept"], "CAFÉ") == [
        ("caf", "CAF"), ("##é", "É"),
    ]  # fmt: skip
    assert located(tokenizers["ideographs in words"], "今天 a今") == [
        ("[UNK]", "今天"), ("[UNK]", "a今"),
    ]  # fmt: skip


def test_texts_in_chunks_give_the_same(tokenizers, monkeypatch):
    texts = ["cafe world", "", "今天", "CAFÉ " * 20] * 5
    whole = Locator(tokenizers["uncased"]).locate(texts)
    monkeypatch.setattr(tokenizer_lib, "_CHUNK_COST", 200)
    for one, other in zip(whole, Locator(tokenizers["uncased"]).locate(texts), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert Locator(tokenizers["uncased"]).locate([]) == []


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("aB .é\u0301\u0327İΣσςẞ今\u200d\u00ad\ufeff\x00\t\u00a0한ÅÅ\u0344ﬁǅ"),
        st.characters(),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=st.lists(HOSTILE, min_size=1, max_size=8))
def test_spans_of_any_text(tokenizers, kind, texts):
    """Ids are the tokenizer's; spans go forward, hold no blank at an end, and cover all words."""
    tokenizer = tokenizers[kind]
    plain = [text.encode("utf-8", "ignore") for text in texts]
    expected = tokenizer.tokenize(plain).to_list()
    for text, (ids, spans), pieces in zip(
        texts, Locator(tokenizer).locate(texts), expected, strict=True
    ):
        assert ids.tolist() == pieces
        spans = spans.tolist()
        assert all(a < b for a, b in spans)
        assert all(x[0] <= y[0] and x[1] <= y[1] for x, y in itertools.pairwise(spans))
        assert not any(text[a].isspace() or text[b - 1].isspace() for a, b in spans)
        covered = {i for a, b in spans for i in range(a, b)}
        rest = {unicodedata.category(c)[0] for i, c in enumerate(text) if i not in covered}
        assert rest <= {"C", "Z", "M", "S"}, rest
