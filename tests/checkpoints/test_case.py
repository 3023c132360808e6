import pytest

from bert_tf.checkpoints.case import check_case, named_case, vocab_looks_lower_cased
from bert_tf.errors import UserError

LOWER = [f"word{i}x" for i in range(2000)]
CASED = [f"Word{i}" if i % 3 else f"word{i}" for i in range(2000)]
CHINESE = [chr(0x4E00 + i) for i in range(2000)]


@pytest.mark.parametrize(
    ("path", "lower"),
    [
        ("uncased_L-24_H-1024_A-16/bert_model.ckpt", True),
        ("models/uncased_L-2_H-128_A-2", True),
        ("/x/wwm_uncased_L-24_H-1024_A-16/bert_model.ckpt", True),
        ("multilingual_L-12_H-768_A-12/bert_model.ckpt", True),
        ("chinese_L-12_H-768_A-12/bert_model.ckpt", True),
        ("uncased_L-12_H-768_A-12/model.ckpt-9", True),
        ("uncased_L-12_H-768_A-12_f/bert_model.ckpt", True),
        ("bert-base-uncased", True),
        ("cased_L-12_H-768_A-12/bert_model.ckpt", False),
        ("multi_cased_L-12_H-768_A-12/bert_model.ckpt", False),
        ("bert-base-cased", False),
        ("bert_model.ckpt", None),
        ("my_uncased_experiment/bert_model.ckpt", None),
        (None, None),
    ],
)
def test_names_of_released_checkpoints(path, lower):
    assert named_case(path)[0] is lower
    for flag in (True, False):
        if lower is None or flag == lower:
            check_case(path, flag)
        else:
            with pytest.raises(UserError, match=f"use --do_lower_case={str(lower).lower()}$"):
                check_case(path, flag)


def test_without_a_flag_the_evidence_decides():
    assert not check_case("cased_L-12_H-768_A-12", None)
    assert not check_case("uncased_L-12_H-768_A-12", None, recorded=False)
    assert check_case("cased_L-12_H-768_A-12", None, recorded=True)
    assert check_case(None, None)


def test_what_the_folder_records_comes_first():
    check_case("uncased_L-12_H-768_A-12", False, recorded=False, tokens=LOWER)
    with pytest.raises(UserError, match="the model folder records it"):
        check_case("cased_L-12_H-768_A-12", False, recorded=True)


def test_folders_above_the_model_say_nothing(tmp_path, monkeypatch):
    model = tmp_path / "bert-base-uncased-experiments" / "uncased_L-2_H-128_A-2" / "mine"
    model.mkdir(parents=True)
    monkeypatch.chdir(model)
    for path in (model, f"{model}/", ".", model / "bert_model.ckpt"):
        assert named_case(path) == (None, None)
        check_case(path, False, tokens=CASED)
        check_case(path, True, tokens=LOWER)
    monkeypatch.chdir(model.parent)
    for path in (model.parent, ".", "bert_model.ckpt"):  # its own name, however it is given
        assert named_case(path) == (True, "uncased_L-2_H-128_A-2")
        check_case(path, False, tokens=CASED)  # the vocabulary knows better


def test_a_renamed_folder_is_known_by_its_vocabulary():
    check_case("mine", True, tokens=LOWER)
    check_case("mine", False, tokens=CASED)
    check_case("mine", True, tokens=CHINESE)
    check_case("mine", False, tokens=CHINESE)
    assert check_case("mine", None, tokens=LOWER)
    assert not check_case("mine", None, tokens=CASED)
    assert check_case("mine", None, tokens=CHINESE)
    with pytest.raises(UserError, match=r"uncased \(the vocabulary has no token with a capital"):
        check_case("mine", False, tokens=LOWER)
    with pytest.raises(UserError, match=r"cased \(the vocabulary has many tokens with capital"):
        check_case("mine", True, tokens=CASED)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["[PAD]", "[UNK]", "[CLS]", *LOWER], True),
        (CASED, False),
        (CHINESE, None),
        (LOWER[:900], None),
        ([*LOWER, *[f"W{i}" for i in range(15)]], None),
        ([], None),
    ],
)
def test_vocabularies(tokens, expected):
    assert vocab_looks_lower_cased(tokens) is expected


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("uncased", True), ("cased", False)])
def test_real_vocabularies(data_folder, name, expected):
    text = (data_folder / "vocab" / name / "vocab.txt").read_text(encoding="utf-8")
    assert vocab_looks_lower_cased(text.split("\n")) is expected
