"""The quickstart's data set: its layout, its balance, and that its words alone are not enough."""

import pathlib
import random
import re
import subprocess
import sys

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from examples import make_sentiment_data, sentiment_grammar
from examples.make_sentiment_data import LEXICON, SHARES, make_rows, split_lexicon, stems

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_script(output_dir, *flags):
    return subprocess.run(
        [sys.executable, "examples/make_sentiment_data.py", f"--output_dir={output_dir}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def rows():
    return make_rows(2000, 600, 200, seed=1)


def lexicon_stems(words):
    return {s for kinds in words.values() for es in kinds.values() for e in es for s in stems(e)}


def test_script_writes_the_sst2_layout(tmp_path):
    result = run_script(tmp_path, "--train_rows=40", "--dev_rows=20", "--test_rows=10")
    assert result.returncode == 0, result.stderr
    for name, count in (("train", 40), ("dev", 20)):
        header, *lines = (tmp_path / f"{name}.tsv").read_text().splitlines()
        assert header == "sentence\tlabel"
        assert len(lines) == count
        assert all(re.fullmatch(r"[^\t]+\t[01]", line) for line in lines)
    header, *lines = (tmp_path / "test.tsv").read_text().splitlines()
    assert header == "index\tsentence"
    assert [line.split("\t")[0] for line in lines] == [str(i) for i in range(10)]


def test_same_seed_same_files_other_seed_other_files(tmp_path):
    sizes = ["--train_rows=40", "--dev_rows=20", "--test_rows=10"]
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run_script(tmp_path / folder, f"--seed={seed}", *sizes).returncode == 0
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        a, b, c = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert a == b != c


@pytest.mark.parametrize("flag", ["--train_rows=1", "--dev_rows=9000000", "--dev_rows=many"])
def test_bad_sizes_end_in_one_clear_line(tmp_path, flag):
    result = run_script(tmp_path, flag)
    assert result.returncode == 1
    assert flag.split("=")[0].strip("-") in result.stderr
    assert "Traceback" not in result.stderr


def test_labels_are_balanced_and_no_sentence_comes_twice(rows):
    for split in rows.values():
        assert abs(sum(label for _, label in split) * 2 - len(split)) <= 1
    sentences = [sentence for split in rows.values() for sentence, _ in split]
    assert len(sentences) == len(set(sentences)) == 2800


@pytest.mark.parametrize("seed", range(5))
def test_no_sentiment_word_of_one_split_occurs_in_another(seed):
    rows = make_rows(1000, 300, 300, seed)
    words = split_lexicon(random.Random(seed))
    for split in SHARES:
        own = lexicon_stems(words[split])
        for other in set(SHARES) - {split}:
            for sentence, _ in rows[other]:
                assert not stems(sentence) & own, (split, other, sentence)


def test_every_split_has_words_of_every_kind_in_both_labels():
    for split, labels in split_lexicon(random.Random(1)).items():
        for label, kinds in labels.items():
            for kind, entries in kinds.items():
                share = len(entries) / len(LEXICON[label][kind])
                assert share == pytest.approx(SHARES[split], abs=0.08), (split, label, kind)


@pytest.mark.parametrize("ngrams, analyzer", [((1, 2), "word"), ((3, 5), "char_wb")])
def test_words_of_train_do_not_help_on_dev(rows, ngrams, analyzer):
    model = make_pipeline(
        CountVectorizer(ngram_range=ngrams, analyzer=analyzer), LogisticRegression(max_iter=500)
    )
    model.fit(*zip(*rows["train"], strict=True))
    assert model.score(*zip(*rows["train"], strict=True)) > 0.75
    assert model.score(*zip(*rows["dev"], strict=True)) < 0.6


def test_no_entry_is_listed_twice_or_under_both_labels():
    listed = [e for kinds in LEXICON.values() for entries in kinds.values() for e in entries]
    assert sorted(listed) == sorted(set(listed))
    assert len(listed) > 600


def test_sentences_are_plain_english_text(rows):
    for split in rows.values():
        for sentence, _ in split:
            assert re.fullmatch(r"[A-Za-z',;\- ]+\.", sentence), sentence
            assert "  " not in sentence and " ," not in sentence
            assert not re.search(r"\ba [aeio]|\ban [^aeiou]", sentence), sentence
            assert 3 <= len(sentence.split()) <= 32, sentence


def test_negation_turns_the_label_and_the_later_clause_decides():
    good = {kind: ["like/liked" if kind == "verb" else "happy"] for kind in LEXICON[1]}
    bad = {kind: ["hate/hated" if kind == "verb" else "grim"] for kind in LEXICON[0]}
    grammar = sentiment_grammar.Grammar({1: good, 0: bad}, random.Random(5))
    negation = re.compile(r"\b(not|no|never|nobody|none|nothing|far|anything)\b")
    for label in (0, 1) * 300:
        sentence = grammar.sentence(label)
        judgements = re.findall(r"happy|like|grim|hate", sentence)
        last_clause = re.split(r"; |, |(?<!anything) but ", sentence)[-1]
        positive = judgements[-1] in ("happy", "like")
        negated = bool(negation.search(last_clause))
        assert (positive != negated) == bool(label), sentence


def test_help_explains_the_script():
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples/make_sentiment_data.py"), "--help"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert result.returncode == 0
    assert "--dev_rows" in result.stdout and "SST-2" in result.stdout
    assert make_sentiment_data.__doc__.splitlines()[0] in result.stdout
