"""A tiny tokenizer, texts over its vocabulary, and data folders made of them."""

import itertools

import pytest

from bert_tf.data.pretraining.build import build_corpus
from bert_tf.tokenization.tokenizer import BertTokenizer
from tests import tiny


@pytest.fixture(scope="session")
def vocab_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(tiny.TOKENS) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(vocab_file):
    return BertTokenizer(vocab_file)


@pytest.fixture(scope="session")
def texts():
    """Documents (list of str) of 1 to 5 sentences, some with words that fall in two pieces."""
    sentences = iter(tiny.sentences(1000, seed=3)[0])
    sizes = itertools.cycle((1, 4, 2, 5, 3))
    documents = [" . ".join(itertools.islice(sentences, next(sizes))) for _ in range(300)]
    return [text.replace("film", "films") for text in documents]


@pytest.fixture(scope="session")
def text_file(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def build(tokenizer, text_file, tmp_path):
    """Builds a data folder; returns (folder, manifest)."""

    def make(name="rows", files=(text_file,), **settings):
        settings = {"seq_length": 16, "num_shards": 3, "validation_fraction": 0.1, **settings}
        return tmp_path / name, build_corpus(list(files), tmp_path / name, tokenizer, **settings)

    return make
