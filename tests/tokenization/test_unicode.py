"""All of Unicode: the tokenizer against the plain Python algorithm."""

import os
import pathlib
import random
import unicodedata

import pytest
import tensorflow as tf

from benchmarks.tokenizer.plain import PlainTokenizer
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import load_vocab

DATA = os.environ.get("BERT_TF_DATA")
UNKNOWN_SCRIPT = 103  # ICU's code for characters it does not know, and for private ones
STRINGS = 20000


@pytest.fixture(scope="module")
def newer(characters):
    """Characters in Python's Unicode tables that TensorFlow's (Unicode 13 in 2.20) do not have.

    TensorFlow cannot lower-case those letters, nor see that a sigma before such marks is not final.
    """
    codes = [ord(c) for c in characters if unicodedata.category(c) != "Co"]
    scripts = tf.strings.unicode_script(codes).numpy()
    changed = {"\u1734"}  # a mark in Unicode 13, a vowel sign since
    return changed | {
        chr(c) for c, script in zip(codes, scripts, strict=True) if script == UNKNOWN_SCRIPT
    }


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_every_character(character_vocab, characters, newer, do_lower_case):
    texts = [f"Á{c}x" for c in characters]
    wrong = differences(character_vocab, texts, do_lower_case)
    if do_lower_case:
        wrong = [text for text in wrong if text[1] not in newer]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}", "{} x", "X{}", "A{}Σ ", "Σ{}A", "e{}\u0301", "{0}{0}"])
def test_every_character_in_context(character_vocab, characters, newer, form):
    texts = [form.format(c) for c in characters if c not in newer]
    assert differences(character_vocab, texts, True) == []


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_random_strings(character_vocab, characters, newer, do_lower_case):
    excluded = newer if do_lower_case else set()
    rng = random.Random(20240)
    texts = random_texts(rng, [c for c in characters if c not in excluded])
    assert differences(character_vocab, texts, do_lower_case) == []


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="BERT_TF_DATA does not name the data folder")
@pytest.mark.parametrize(("name", "do_lower_case"), [("uncased", True), ("cased", False)])
@pytest.mark.parametrize("task", ["SST-2", "CoLA", "MRPC", "STS-B"])
def test_real_text(task, name, do_lower_case):
    data = pathlib.Path(DATA)
    files = sorted((data / "glue_data" / task).glob("*.tsv"))
    texts = [line for file in files for line in file.read_text("utf-8").split("\n")]
    assert len(texts) > 5000
    vocab = load_vocab(data / "vocab" / name / "vocab.txt")
    assert differences(vocab, texts, do_lower_case) == []


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="BERT_TF_DATA does not name the data folder")
@pytest.mark.parametrize("name", ["uncased", "cased", "chinese"])
def test_random_strings_with_a_real_vocabulary(characters, newer, name):
    vocab = load_vocab(pathlib.Path(DATA) / "vocab" / name / "vocab.txt")
    words = [token.removeprefix("##") for token in vocab.tokens if token]
    rng = random.Random(7)
    texts = ["".join(rng.choices([*words, " "], k=rng.randint(1, 12))) for _ in range(STRINGS)]
    texts += random_texts(rng, [c for c in characters if c not in newer])
    assert differences(vocab, texts, name != "cased") == []


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "tokenize_chinese_chars": False},
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
    ],
)
@pytest.mark.parametrize("share", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_characters_with_other_settings(character_vocab, characters, newer, settings, share):
    known = [c for c in characters if c not in newer]
    texts = [f"Á{c}x" for c in known] + random_texts(random.Random(11), known)
    assert differences(character_vocab, texts[::share], **settings) == []


def differences(vocab, texts, do_lower_case, **settings):
    """The texts whose pieces differ."""
    plain = PlainTokenizer(vocab.ids, do_lower_case, **settings)
    pieces = BertTokenizer(vocab, do_lower_case, **settings).tokens(texts)
    return [text for text, ours in zip(texts, pieces, strict=True) if plain.tokens(text) != ours]


def random_texts(rng, characters):
    """STRINGS texts mixing alphabets, marks, controls, spaces, and words near 200 characters."""
    by_category = {}
    for c in characters:
        by_category.setdefault(unicodedata.category(c)[0], []).append(c)
    pools = [
        characters,
        *by_category.values(),
        [c for c in characters if ord(c) < 0x250],
        [c for c in characters if 0x370 <= ord(c) < 0x600] + ["Σ"] * 100,
        [c for c in characters if unicodedata.category(c) in ("Mn", "Cf")],
        [c for c in characters if unicodedata.decomposition(c)],
        [c for c in characters if 0x3000 <= ord(c) < 0xA000],
        list("abcdefgh ABC.,'-"),
        list(" \t\n\r\0\u200d\u00ad\u2028\u2029\u3000\x85\x1c\ufeff\ufffd"),
    ]
    texts = []
    for _ in range(STRINGS):
        parts = []
        for _ in range(rng.randint(1, 4)):
            pool = rng.choice(pools)
            if rng.random() < 0.02:
                parts.append(rng.choice(pool) * rng.randint(195, 205))
            else:
                parts.extend(rng.choices(pool, k=rng.randint(0, 10)))
        texts.append("".join(parts))
    return texts
