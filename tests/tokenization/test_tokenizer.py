"""The tokenizer gives Google's tokens, ids and sequences, wherever it runs."""

import itertools
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.tokenizer.plain import PlainTokenizer, truncate_pair
from bert_tf.errors import UserError
from bert_tf.tokenization import tokenizer as tokenizer_lib
from bert_tf.tokenization.tokenizer import BertTokenizer

TEXTS = ["Hello, World! This is BERT.", "", "naïve café 深度学习", "it's " * 60, "don't\u2028can't"]


@pytest.fixture(scope="module")
def tokenizer(golden_vocab):
    return BertTokenizer(golden_vocab)


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_golden_tokens_and_ids(golden_vocab, golden_cases, do_lower_case):
    cases = [case for case in golden_cases if case["do_lower_case"] == do_lower_case]
    assert len(cases) == 25
    tokenizer = BertTokenizer(golden_vocab, do_lower_case)
    texts = [case["text"] for case in cases]
    assert tokenizer.tokens(texts) == [case["tokens"] for case in cases]
    assert tokenizer.tokenize(texts).to_list() == [case["ids"] for case in cases]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Don't $5.00^2 a~b", "d ##o ##n ' t $ 5 . 0 ##0 ^ 2 a ~ b"),
        ("[MASK]", "[ m ##a ##s ##k ]"),
        ("Héllo WÖRLD", "h ##e ##l ##l ##o w ##o ##r ##l ##d"),
        ("今天abc天", "今 天 a ##b ##c 天"),
        ("a\u200db\u00adc", "a ##b ##c"),
        ("a\u00a0b\u3000c\u2028d", "a b c d"),
        ("x\0y\ufffdz\7w", "x ##y ##z ##w"),
        ("€5 £5", "€ ##5 £ ##5"),
        ("İstanbul I", "i ##s ##t ##a ##n ##b ##u ##l i"),
        ("ẞ", "ß"),
        ("ΑΣ ΑΣΑ", "α ##ς α ##σ ##α"),
        ("한", "ᄒ ##ᅡ ##ᆫ"),
        ("かな", "か ##な"),
        ("a！b？c。d–e…", "a ！ b ？ c 。 d – e …"),
        ("😀x ﬁ ½ Ａ", "😀 ##x ﬁ ½ ａ"),
        (" \t\n\r ", ""),
        ("a" * 200, "a" + " ##a" * 199),
        ("a" * 201 + " a", "[UNK] a"),
        ("𐌀" * 200, "𐌀" + " ##𐌀" * 199),
        ("𐌀" * 201, "[UNK]"),
        ("é" * 201 + "-" + "é" * 200, "[UNK] - e" + " ##e" * 199),
        ("e\u0301" * 200, "e" + " ##e" * 199),
    ],
)
def test_rules(character_tokenizer, text, pieces):
    assert character_tokenizer.tokens([text]) == [pieces.split()]


@pytest.fixture(scope="module")
def character_tokenizer(character_vocab):
    return BertTokenizer(character_vocab)


def test_cased_keeps_case_accents_and_hangul(character_vocab):
    tokens = BertTokenizer(character_vocab, do_lower_case=False).tokens(["ÉA 한!"])
    assert tokens == [["É", "##A", "한", "!"]]


def test_word_pieces_are_the_longest_from_the_left(make_vocab):
    tokenizer = BertTokenizer(make_vocab(["un", "##aff", "##able", "##a", "##ab"]))
    assert tokenizer.tokens(["unaffable unaffablex able unab unabl"]) == [
        ["un", "##aff", "##able", "[UNK]", "[UNK]", "un", "##ab", "[UNK]"]
    ]


def test_any_vocabulary_gives_the_same_as_the_plain_algorithm(make_vocab):
    rng = random.Random(1)
    odd = [
        "",
        "##",
        "#",
        "###",
        "a b",
        "a\u00adb",
        "\ufffd",
        "中文",
        "a.b",
        "##.",
        "##中",
        "[line 7]",
    ]
    for _ in range(12):
        made = ["".join(rng.choices("ab.é中", k=rng.randint(1, 4))) for _ in range(12)]
        prefixed = [rng.choice(["", "##"]) + token for token in made]
        vocab = make_vocab(["a", *prefixed, *rng.choices(odd + made, k=6)])
        texts = ["".join(rng.choices("abab.#中é ", k=rng.randint(0, 20))) for _ in range(100)]
        texts += odd + vocab.tokens
        for lower in (True, False):
            plain = PlainTokenizer(vocab.ids, lower)
            ids = [[vocab.ids[token] for token in plain.tokens(text)] for text in texts]
            assert BertTokenizer(vocab, lower).tokenize(texts).to_list() == ids


def test_vocabulary_without_any_piece_is_refused(make_vocab):
    vocab = make_vocab([])
    with pytest.raises(UserError, match=r"vocab\.txt"):
        BertTokenizer(vocab)


def test_bytes_that_are_not_utf8_are_dropped(character_vocab, character_tokenizer):
    rng = random.Random(2)
    texts = []
    for _ in range(2000):
        text = bytearray("".join(rng.choices(["a", "é", "中", "😀", "b ", "\u2028"], k=8)), "utf-8")
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 1)] = rng.choice([b"", b"\xed\xa0\x80", rng.randbytes(1)])
        texts.append(bytes(text))
    plain = PlainTokenizer(character_vocab.ids)
    expected = [plain.tokens(text.decode("utf-8", "ignore")) for text in texts]
    assert character_tokenizer.tokens(texts) == expected


def test_lower_casing_does_not_follow_the_locale(golden_vocab):
    program = (
        "import sys; from bert_tf.tokenization.tokenizer import BertTokenizer;"
        "print(BertTokenizer(sys.argv[1]).tokens(['THIS IS', 'THIS IS …'])[1][:2])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, golden_vocab.path],
        env={**os.environ, "LC_ALL": "tr_TR.UTF-8", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip() == "['this', 'is']"


@pytest.mark.parametrize("max_seq_length", [2, 3, 9, 512])
def test_single_sequences(tokenizer, golden_vocab, max_seq_length):
    plain = PlainTokenizer(golden_vocab.ids)
    expected = [plain.encode(text, max_seq_length=max_seq_length) for text in TEXTS]
    check_encode(tokenizer.encode(TEXTS, max_seq_length=max_seq_length), expected)
    check_flat(tokenizer.encode_flat(TEXTS, max_seq_length=max_seq_length), expected)


@pytest.mark.parametrize("max_seq_length", [3, 4, 5, 12, 13, 512])
def test_pair_sequences(tokenizer, golden_vocab, max_seq_length):
    first, second = zip(*itertools.product(TEXTS, TEXTS), strict=True)
    plain = PlainTokenizer(golden_vocab.ids)
    expected = [plain.encode(a, b, max_seq_length) for a, b in zip(first, second, strict=True)]
    check_encode(tokenizer.encode(first, second, max_seq_length), expected)
    check_flat(tokenizer.encode_flat(list(first), list(second), max_seq_length), expected)


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("max_seq_length", [2, 3, 4, 5, 8, 17, 62, 128, 512])
def test_truncation_of_single_texts(tokenizer, golden_vocab, truncation, max_seq_length):
    """Texts of many lengths, those that just fit and just do not among them."""
    room = max_seq_length - 2
    counts = {0, 1, 2, 3, 5, 9, 30, 61, 600, *(max(room + i, 0) for i in (-1, 0, 1, 2))}
    words = ["this", "is", "bert", ",", "world", "!", "hello"]
    plain, expected, texts = PlainTokenizer(golden_vocab.ids), [], []
    for count in sorted(counts):
        pieces = list(itertools.islice(itertools.cycle(words), count))
        assert plain.tokens(" ".join(pieces)) == pieces
        kept = ["[CLS]", *truncate_single(pieces, room, truncation), "[SEP]"]
        texts.append(" ".join(pieces))
        expected.append(([golden_vocab.ids[piece] for piece in kept], len(kept)))
    arguments = (texts, None, max_seq_length, truncation)
    check_encode(tokenizer.encode(*arguments), expected)
    check_flat(tokenizer.encode_flat(*arguments), expected)


def truncate_single(pieces, room, truncation):
    if len(pieces) <= room or truncation == "head":
        return pieces[:room]
    front = 0 if truncation == "tail" else round(128 / 510 * room)
    return pieces[:front] + pieces[len(pieces) - (room - front) :]


def test_head_tail_of_512_is_the_papers_128_and_382(tokenizer):
    text = ["is " * 200 + "world " * 400]
    ids = tokenizer.encode_flat(text, None, 512, "head_tail")[0][1:-1]
    first, last = ids[0], ids[-1]
    assert ids.tolist() == [first] * 128 + [last] * 382


def test_truncations_that_cannot_be(tokenizer):
    for method in (tokenizer.encode, tokenizer.encode_flat):
        with pytest.raises(UserError, match="truncation=middle: expected one of head, tail, head_"):
            method(["a"], None, 16, "middle")
        with pytest.raises(UserError, match="truncation=tail is for single texts"):
            method(["a"], ["b"], 16, "tail")


def check_encode(inputs, expected):
    longest = max(len(ids) for ids, _ in expected)
    for key, tensor in inputs.items():
        assert tensor.dtype == tf.int32, key
        assert tensor.shape == (len(expected), longest), key
    for row, (ids, first) in enumerate(expected):
        padding = [0] * (longest - len(ids))
        assert inputs["input_word_ids"][row].numpy().tolist() == ids + padding
        assert inputs["input_mask"][row].numpy().tolist() == [1] * len(ids) + padding
        types = [0] * first + [1] * (len(ids) - first)
        assert inputs["input_type_ids"][row].numpy().tolist() == types + padding


def check_flat(flat, expected):
    ids, offsets, first_lengths = flat
    assert (ids.dtype, offsets.dtype, first_lengths.dtype) == (np.int32, np.int64, np.int32)
    rows = [ids[start:stop].tolist() for start, stop in itertools.pairwise(offsets)]
    assert list(zip(rows, first_lengths, strict=True)) == expected


def test_pair_truncation_is_the_loop_in_closed_form():
    lengths = np.array(list(itertools.product(range(9), range(9), range(18))))
    a, b, limit = lengths.T
    keep_a, keep_b = tokenizer_lib._pair_lengths(*(tf.constant(x) for x in (a, b, limit)))
    for i, (count_a, count_b, most) in enumerate(lengths):
        list_a, list_b = [0] * count_a, [0] * count_b
        truncate_pair(list_a, list_b, most)
        assert (keep_a[i], keep_b[i]) == (len(list_a), len(list_b)), lengths[i]


def test_flat_result_does_not_depend_on_the_chunks(tokenizer, monkeypatch):
    whole = tokenizer.encode_flat(TEXTS * 7, TEXTS[::-1] * 7, 20)
    monkeypatch.setattr(tokenizer_lib, "_CHUNK_COST", 150)
    assert len(tokenizer_lib.chunks(TEXTS * 7, None)) > 5
    for one, other in zip(
        whole, tokenizer.encode_flat(TEXTS * 7, TEXTS[::-1] * 7, 20), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_no_rows(tokenizer):
    assert tokenizer.encode([])["input_word_ids"].shape[0] == 0
    for texts_b in (None, []):
        ids, offsets, first_lengths = tokenizer.encode_flat([], texts_b)
        assert (len(ids), offsets.tolist(), len(first_lengths)) == (0, [0], 0)


def test_too_short_sequences_are_refused(tokenizer):
    for arguments in ((["a"], None, 1), (["a"], ["b"], 2)):
        for method in (tokenizer.encode, tokenizer.encode_flat):
            with pytest.raises(UserError, match="max_seq_length"):
                method(*arguments)


def test_inside_a_dataset(tokenizer):
    dataset = tf.data.Dataset.from_tensor_slices((TEXTS, TEXTS[::-1])).batch(3)
    rows = []
    for inputs in dataset.map(lambda a, b: tokenizer.encode(a, b, 16)):
        for ids, mask in zip(inputs["input_word_ids"], inputs["input_mask"], strict=True):
            rows.append(ids[: tf.reduce_sum(mask)].numpy().tolist())
    ids, offsets, _ = tokenizer.encode_flat(TEXTS, TEXTS[::-1], 16)
    assert rows == [ids[start:stop].tolist() for start, stop in itertools.pairwise(offsets)]


def test_inside_a_saved_model(tokenizer, tmp_path):
    module = tf.Module()
    module.tokenizer = tokenizer
    texts = tf.TensorSpec([None], tf.string, name="texts")
    module.serve = tf.function(lambda texts: tokenizer.encode(texts, max_seq_length=64), [texts])
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    long = [*TEXTS, "a" * 201 + " is"]
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](
        texts=tf.constant(long)
    )
    for key, value in tokenizer.encode(long, max_seq_length=64).items():
        np.testing.assert_array_equal(loaded[key], value)


def test_fingerprint_follows_vocabulary_and_case(make_vocab):
    one, same, other = make_vocab(["a"]), make_vocab(["a"]), make_vocab(["b"])
    assert BertTokenizer(one).fingerprint == BertTokenizer(same).fingerprint
    assert BertTokenizer(one).fingerprint != BertTokenizer(other).fingerprint
    assert BertTokenizer(one).fingerprint != BertTokenizer(one, False).fingerprint
