"""Vocabularies for the tests."""

import json
import pathlib
import unicodedata

import pytest

from bert_tf.tokenization.vocab import load_vocab

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="session")
def make_vocab(tmp_path_factory):
    """Writes a vocab.txt of SPECIALS and the given tokens, and reads it."""

    def make(tokens, specials=SPECIALS):
        path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
        path.write_text("".join(f"{t}\n" for t in [*specials, *tokens]), "utf-8", newline="")
        return load_vocab(path)

    return make


@pytest.fixture(scope="session")
def golden_vocab(make_vocab):
    """BERT's uncased vocabulary, blank but for the lines the golden texts could ever use."""
    golden = json.loads((FIXTURES / "tokenization_golden_vocab.json").read_text("utf-8"))
    lines = [""] * golden["size"]
    for token, i in golden["ids"].items():
        lines[i] = token
    return make_vocab(lines, specials=[])


@pytest.fixture(scope="session")
def golden_cases():
    """Texts with the tokens and ids that Google's program gave."""
    return json.loads((FIXTURES / "tokenization_golden.json").read_text("utf-8"))["cases"]


@pytest.fixture(scope="session")
def characters():
    """Every character with a category in Python's tables; one in 50 of the private ones."""
    everything = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return [
        c
        for c in everything
        if unicodedata.category(c) not in ("Cn", "Co") or c == "\U0010fffd" or ord(c) % 50 == 0xE
    ]


@pytest.fixture(scope="session")
def character_vocab(make_vocab, characters):
    """A piece for every character, at the start of a word and after it: nothing hides in [UNK]."""
    usable = [c for c in characters if not c.isspace() and unicodedata.category(c) != "Cc"]
    return make_vocab([*usable, *(f"##{c}" for c in usable)])
