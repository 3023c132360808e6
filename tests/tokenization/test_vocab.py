"""vocab.txt: Google's reading rules, and one clear line for every bad file."""

import pytest

from bert_tf.config import BertConfig
from bert_tf.errors import UserError
from bert_tf.tokenization.vocab import check_vocab_size, load_vocab

GOOD = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n"


def write(tmp_path, content):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    return path


def test_line_number_is_the_id(tmp_path):
    vocab = load_vocab(write(tmp_path, GOOD + b" the\t\r\n\n##s\nthe\n[MASK]"))
    assert vocab.tokens == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "", "##s", "the", "[MASK]"]
    assert vocab.ids["the"] == 7  # the last of two lines wins
    assert vocab.ids[""] == 5
    assert (vocab.pad_id, vocab.unk_id, vocab.cls_id, vocab.sep_id, vocab.mask_id) == (
        0,
        1,
        2,
        3,
        8,
    )


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_a_token(tmp_path):
    plain = load_vocab(write(tmp_path, GOOD + b"the\n"))
    for content in (b"\xef\xbb\xbf" + GOOD + b"the\n", GOOD.replace(b"\n", b"\r\n") + b"the\r\n"):
        vocab = load_vocab(write(tmp_path, content))
        assert (vocab.tokens, vocab.ids, vocab.pad_id) == (plain.tokens, plain.ids, 0)


def test_mask_is_optional_until_asked_for(tmp_path):
    path = write(tmp_path, GOOD)
    with pytest.raises(UserError, match=r"vocab\.txt.*\[MASK\]"):
        load_vocab(path).mask_id  # noqa: B018


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (GOOD + b"a\nb\xff\n", "line 6 .*not UTF-8"),
        (GOOD + b"a\0b\n", "line 5 .*NUL"),
        (b"[PAD]\n[UNK]\n[SEP]\nthe\n", r"no \[CLS\]"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"the\ncat\n", r"no \[PAD\], \[UNK\], \[CLS\], \[SEP\] among its 2 tokens"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(UserError, match=message) as error:
        load_vocab(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_are_named(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            load_vocab(path)


def test_size_must_fit_the_embedding_table(tmp_path):
    vocab = load_vocab(write(tmp_path, GOOD + b"a\n"))
    check_vocab_size(vocab, BertConfig(vocab_size=5))
    check_vocab_size(vocab, BertConfig(vocab_size=8))  # padded to a multiple of 8
    for size in (4, 13):
        with pytest.raises(UserError, match=rf"vocab\.txt has 5 tokens.*my\.json.*{size}"):
            check_vocab_size(vocab, BertConfig(vocab_size=size), "my.json")


@pytest.mark.parametrize("end", [b"\n", b"\r\n\r\n", b" \n\n", b"  "])
def test_blank_lines_at_the_end_are_no_tokens(tmp_path, end):
    vocab = load_vocab(write(tmp_path, GOOD + b"\nthe\n" + end))
    assert vocab.tokens == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "", "the"]
    check_vocab_size(vocab, BertConfig(vocab_size=6))


def test_tables_are_padded_to_multiples(tmp_path):
    vocab = load_vocab(write(tmp_path, GOOD + b"".join(b"a%d\n" % i for i in range(200))))
    for size in (208, 224, 256):
        check_vocab_size(vocab, BertConfig(vocab_size=size))
    for size in (203, 240, 320, 384):
        with pytest.raises(UserError, match=r"has 204 tokens.*give the one that the model was"):
            check_vocab_size(vocab, BertConfig(vocab_size=size))
