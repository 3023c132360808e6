"""A vocabulary learned from a corpus spells its text."""

import pytest

from bert_tf.data.pretraining.vocabulary import learn_vocab
from bert_tf.errors import UserError
from bert_tf.tokenization.tokenizer import BertTokenizer


def test_frequent_words_are_pieces_and_nothing_is_unknown(text_file, texts):
    vocab = learn_vocab([text_file], 100)
    assert vocab.tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert 5 + 20 < len(vocab) <= 100
    assert {"the", "story", "films"} <= set(vocab.tokens)
    tokenizer = BertTokenizer(vocab)
    assert not any(vocab.unk_id in row for row in tokenizer.tokenize(texts).to_list())
    # Words that the corpus does not have are spelt with its characters.
    assert "[UNK]" not in tokenizer.tokens(["storm loyalty"])[0]


def test_case_and_accents(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("Élan Vital\n" * 20, encoding="utf-8")
    lower = learn_vocab([str(path)], 100).tokens
    assert {"elan", "vital"} <= set(lower)
    cased = learn_vocab([str(path)], 100, do_lower_case=False).tokens
    assert {"Élan", "Vital"} <= set(cased)


def test_same_seed_same_vocabulary_from_a_sample(tmp_path):
    path = tmp_path / "text.txt"
    lines = [f"word{i % 997} and word{i % 13}\n" for i in range(90_000)]
    path.write_text("".join(lines), encoding="utf-8")  # 1.6 MB, of which 1 is read
    first = learn_vocab([str(path)], 200, sample_mb=1, seed=1).tokens
    assert first == learn_vocab([str(path)], 200, sample_mb=1, seed=1).tokens
    assert "and" in first


def test_a_vocabulary_of_json_lines(tmp_path):
    lines = ['{"id": "7", "url": "http", "text": "caf\\u00e9 river"}'] * 50
    (tmp_path / "wiki_00").write_text("\n".join(lines))
    tokens = learn_vocab([str(tmp_path / "wiki_00")], 60).tokens
    assert {"cafe", "river"} <= set(tokens)
    assert not set(tokens) & {"{", '"', "\\", "7", "http", "url", "text"}


def test_too_small_a_vocabulary_and_no_text(text_file, tmp_path):
    with pytest.raises(UserError, match=r"--vocab_size=20: the special tokens and the corpus'"):
        learn_vocab([text_file], 20)
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match=r"empty\.txt: the corpus is empty"):
        learn_vocab([str(tmp_path / "empty.txt")], 100)
