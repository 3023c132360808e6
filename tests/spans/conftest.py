"""A tokenizer for the tests of spans, and random questions on plain words."""

import numpy as np
import pytest

from bert_tf.spans.data import read_questions
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import load_vocab
from tests import tiny

WORDS = [*tiny.GOOD, *tiny.BAD, *tiny.PLAIN, "goods", "finely", "Nice"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(tiny.TOKENS) + "\n", encoding="utf-8")
    return BertTokenizer(load_vocab(path), do_lower_case=True)


@pytest.fixture(scope="session")
def random_questions(tmp_path_factory):
    """Callable (seed, negative) -> path of a file: texts of 1 to 40 words, answers of 1 to 4."""
    folder = tmp_path_factory.mktemp("random")

    def make(seed, negative=False):
        rng, paragraphs = np.random.default_rng(seed), []
        for i in range(8):
            words = list(map(str, rng.choice(WORDS, rng.integers(1, 40))))
            context = " ".join(words)
            start = int(rng.integers(len(words)))
            answer = " ".join(words[start : start + int(rng.integers(1, 5))])
            offset = len(" ".join([*words[:start], ""]))
            asked = " ".join(map(str, rng.choice(WORDS, rng.integers(1, 12))))
            impossible = negative and i % 2 == 1
            found = tiny.question(
                f"q{i}", asked, context, [] if impossible else [(answer, offset)],
                is_impossible=impossible,
            )  # fmt: skip
            paragraphs.append({"context": context, "qas": [found]})
        path = folder / f"{seed}-{negative}.json"
        return tiny.write_squad(path, paragraphs)

    return make


@pytest.fixture
def squad(tmp_path):
    """Callable (paragraphs) -> `Questions`."""

    def make(*paragraphs):
        return read_questions(tiny.write_squad(tmp_path / "squad.json", list(paragraphs)))

    return make
