"""tokenizer.json gives the ids of the tokenizer that it stands for, or it is said where not."""

import json
import os
import pathlib
import random
import sys
import unicodedata

import pytest
import tensorflow as tf
import tokenizers

from bert_tf.errors import UserError
from bert_tf.export import tokenizer as export
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import load_vocab
from tests import tiny
from tests.tokenization.test_unicode import random_texts

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FIXTURES = tiny.ROOT / "tests" / "fixtures"
DATA = os.environ.get("BERT_TF_DATA")
UNKNOWN_SCRIPT = 103  # ICU's code for characters that it does not know, and for private ones


def make_vocab(folder, tokens, specials=SPECIALS):
    path = folder / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in [*specials, *tokens]), "utf-8", newline="")
    return load_vocab(path)


def written(folder, tokenizer):
    """The library's tokenizer, read back from what is written of ours."""
    export.write(tokenizer, folder / "tokenizer.json")
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def characters():
    """Every character with a category in Python's tables, and some of the private ones."""
    return [
        c
        for c in map(chr, range(0x110000))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co") or ord(c) % 5000 == 0xE000 % 5000
    ]


@pytest.fixture(scope="module")
def character_vocab(tmp_path_factory, characters):
    """A piece for every character, at the start of a word and after it: nothing hides in [UNK]."""
    usable = [c for c in characters if not c.isspace() and unicodedata.category(c) != "Cc"]
    folder = tmp_path_factory.mktemp("characters")
    return make_vocab(folder, [*usable, *(f"##{c}" for c in usable)])


@pytest.fixture(scope="module")
def known(characters):
    """Those whose case TensorFlow (Unicode 13 in 2.20) and the library agree on."""
    scripts = tf.strings.unicode_script([ord(c) for c in characters]).numpy()
    changed = "\u1734\U0001171e"  # marks in Unicode 13, no longer
    return [
        c
        for c, script in zip(characters, scripts, strict=True)
        if c not in changed and (script != UNKNOWN_SCRIPT or unicodedata.category(c) == "Co")
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
    ],
)
def test_every_character_and_random_strings(tmp_path, characters, known, character_vocab, settings):
    chosen = known if settings["do_lower_case"] else characters
    texts = [f"Á{c}x" for c in chosen] + random_texts(random.Random(5), chosen)[::4]
    texts += [form.format(c) for c in chosen[::7] for form in ("A{}Σ ", "Σ{}A", "e{}\u0301")]
    tokenizer = BertTokenizer(character_vocab, **settings)
    export.write(tokenizer, tmp_path / "tokenizer.json")
    found = export.differences(tmp_path / "tokenizer.json", tokenizer, texts)
    assert found["different"] == 0, found


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_ids_are_those_of_googles_program(tmp_path, do_lower_case):
    golden = json.loads((FIXTURES / "tokenization_golden_vocab.json").read_text("utf-8"))
    lines = [""] * golden["size"]
    for token, i in golden["ids"].items():
        lines[i] = token
    vocab = make_vocab(tmp_path, lines, specials=[])
    fast = written(tmp_path, BertTokenizer(vocab, do_lower_case))
    cases = json.loads((FIXTURES / "tokenization_golden.json").read_text("utf-8"))["cases"]
    cases = [case for case in cases if case["do_lower_case"] == do_lower_case]
    assert len(cases) == 25
    for case in cases:
        assert fast.encode(case["text"], add_special_tokens=False).ids == case["ids"], case["text"]


def test_rows_and_fuzz_set_without_differences(tmp_path):
    pieces = ["un", "##aff", "##able", "深", "度", "naive", "ος", "##σ", "σ", "i", "##i", "?", "'"]
    for lower in (True, False):
        tokenizer = BertTokenizer(make_vocab(tmp_path, pieces), lower)
        checked = export.write_checked(tmp_path, tokenizer, ["Unaffable", "深度 Σος", ""])[
            "checked"
        ]
        assert checked["rows"] == {"texts": 3, "different": 0, "characters": [], "examples": []}
        assert checked["fuzz"]["texts"] > 4000
        assert checked["fuzz"]["different"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="BERT_TF_DATA does not name the data folder")
@pytest.mark.parametrize("name", ["uncased", "cased", "chinese"])
def test_real_text_with_a_real_vocabulary(tmp_path, name):
    vocab = load_vocab(pathlib.Path(DATA) / "vocab" / name / "vocab.txt")
    paths = sorted((pathlib.Path(DATA) / "glue_data").glob("*/*.tsv"))
    texts = [line for path in paths for line in path.read_text("utf-8").split("\n")]
    assert len(texts) > 20_000
    tokenizer = BertTokenizer(vocab, do_lower_case=name != "cased")
    checked = export.write_checked(tmp_path, tokenizer, texts)["checked"]
    assert checked["rows"]["different"] == checked["fuzz"]["different"] == 0


def test_special_tokens_in_a_text_are_words_and_words_end_at_200_characters(tmp_path):
    tokenizer = BertTokenizer(make_vocab(tmp_path, ["a", "##a", "[", "]", "cls", "sep"]))
    texts = ["[CLS] a [SEP]", "a" * 200, "a" * 201, "\0a\ufffd", " ", "[UNK][PAD]"]
    fast = written(tmp_path, tokenizer)
    assert [fast.encode(x, add_special_tokens=False).tokens for x in texts] == tokenizer.tokens(
        texts
    )


def test_a_single_text_and_a_pair_have_their_special_tokens_and_types(tmp_path):
    tokenizer = BertTokenizer(make_vocab(tmp_path, ["one", "two"]))
    fast = written(tmp_path, tokenizer)
    for arguments in (["one two"], ["one", "two one"]):
        ours = tokenizer.encode(*([x] for x in arguments))
        assert fast.encode(*arguments).ids == ours["input_word_ids"][0].numpy().tolist()
        assert fast.encode(*arguments).type_ids == ours["input_type_ids"][0].numpy().tolist()


def test_lines_twice_and_blank_ones_keep_the_others_in_place(tmp_path):
    tokenizer = BertTokenizer(make_vocab(tmp_path, ["a", "", "b", "a", "c d", "c"]))
    fast = written(tmp_path, tokenizer)
    assert fast.get_vocab_size() == len(tokenizer.vocab)
    assert fast.encode("a b c", add_special_tokens=False).ids == [8, 7, 10]
    assert tokenizer.tokenize(["a b c"]).to_list() == [[8, 7, 10]]


def test_rows_with_other_ids_are_refused_and_the_character_is_named(tmp_path):
    capital, small = "\U00010570", "\U00010597"
    tokenizer = BertTokenizer(make_vocab(tmp_path, ["a", capital, small]))
    with pytest.raises(UserError, match=r"1 of 2 rows other ids.*U\+10570") as error:
        export.write_checked(tmp_path, tokenizer, ["a", f"a, {capital} a"])
    assert "\n" not in str(error.value)
    found = export.write_checked(tmp_path, tokenizer, ["a"])["checked"]["fuzz"]
    assert found["characters"] in ([], ["U+10570"])  # as Python's tables know it or not


def test_a_difference_is_shown_by_its_smallest_part(tmp_path):
    tokenizer = BertTokenizer(make_vocab(tmp_path, ["a", "b", "##b"]))
    other = BertTokenizer(make_vocab(tmp_path, ["a", "##b", "b"]))
    export.write(other, tmp_path / "tokenizer.json")
    found = export.differences(tmp_path / "tokenizer.json", tokenizer, ["a c a ab a " * 50, "a"])
    assert found["different"] == 1
    assert found["examples"] == ["b"]


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"tokenizer\.json.*needs tokenizers.*pip install"):
        export.write(BertTokenizer(make_vocab(tmp_path, ["a"])), tmp_path / "tokenizer.json")
