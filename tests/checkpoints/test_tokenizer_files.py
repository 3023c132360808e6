"""The tokenizer's settings of a Hugging Face folder: honoured and carried along, or refused."""

import json

import pytest

import factorize
from bert_tf import pretraining
from bert_tf.checkpoints import convert, huggingface
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import settings_of, tokenizer_of
from bert_tf.checkpoints.tokenizer_files import read_settings
from bert_tf.data.pretraining import create
from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.data.pretraining.options import PretrainingDataOptions
from bert_tf.errors import UserError
from bert_tf.pretraining.options import PretrainingOptions
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import Vocab
from tests import needs, tiny

TOKENS = [*tiny.TOKENS, "schön", "schon", "東京", "東", "京", "É", "E", "é", "e"]
KEPT = {"do_lower_case": True, "strip_accents": False}


def write_tokenizer(folder, config=None, tokenizer=None, **others):
    """Gives a folder these tokenizer files alone; None writes none."""
    contents = {"tokenizer_config": config, "tokenizer": tokenizer, **others}
    for name in ("tokenizer_config", "tokenizer", "special_tokens_map", "added_tokens"):
        path = folder / f"{name}.json"
        path.unlink(missing_ok=True)
        if contents.get(name) is not None:
            path.write_text(json.dumps(contents[name]))


@pytest.fixture
def folder(tmp_path):
    """A Hugging Face folder without tokenizer files but for its vocabulary."""
    model = load_model(tiny.make_model(tmp_path / "model", TOKENS, num_hidden_layers=2))
    huggingface.write(tmp_path / "hf", model.config, model.arrays, model.vocab_file)
    write_tokenizer(tmp_path / "hf")
    return tmp_path / "hf"


def fast(**normalizer):
    """tokenizer.json of a BERT, with these settings."""
    return {"normalizer": {"type": "BertNormalizer", **normalizer}}


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        (None, None, {}),
        ({"do_lower_case": True, "strip_accents": None}, None, {"do_lower_case": True}),
        (KEPT, None, KEPT),
        ({"do_lower_case": True, "strip_accents": True}, None, {"do_lower_case": True}),
        ({"strip_accents": False}, None, {"strip_accents": False}),
        ({"tokenize_chinese_chars": False}, None, {"tokenize_chinese_chars": False}),
        ({"handle_chinese_chars": False}, None, {"tokenize_chinese_chars": False}),
        (None, fast(lowercase=True, strip_accents=False), KEPT),
        ({"do_lower_case": True}, fast(strip_accents=False), KEPT),
        (KEPT, fast(lowercase=True, strip_accents=False, handle_chinese_chars=True), KEPT),
        ({"strip_accents": None}, fast(lowercase=False, strip_accents=False),
         {"do_lower_case": False}),
    ],
)  # fmt: skip
def test_what_the_files_say(folder, config, tokenizer, expected):
    write_tokenizer(folder, config, tokenizer)
    assert read_settings(folder) == expected
    assert load_model(folder).config.extra == expected


VOCAB = {token: i for i, token in enumerate(TOKENS)}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"config": {"do_basic_tokenize": False}}, "_config.json: do_basic_tokenize is False"),
        ({"config": {"never_split": ["[X]"]}}, r"never_split is \['\[X\]'\], expected \[\]"),
        ({"config": {"do_lower_case": "yes"}}, "do_lower_case must be true, false or null"),
        ({"config": {"strip_accents": 0}}, "strip_accents must be true, false or null, found 0"),
        ({"config": {"unk_token": "<unk>"}}, r"unk_token is '<unk>', expected \[UNK\]"),
        ({"config": {"mask_token": {"content": "<m>"}}}, "mask_token is '<m>'"),
        ({"config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "tokenizer_class is 'BertJap"),
        ({"config": {"wordpieces_prefix": "_"}}, "wordpieces_prefix is '_', expected ##"),
        ({"config": {"additional_special_tokens": ["[E1]"]}}, r"adds the token '\[E1\]'"),
        ({"config": {"added_tokens_decoder": {"7": {"content": "covid"}}}}, "the token 'covid'"),
        ({"added_tokens": {"covid": 30522}}, r"added_tokens.json: the file adds the token 'covid'"),
        ({"special_tokens_map": {"cls_token": "<s>"}}, r"special_tokens_map.json: cls_token is"),
        ({"tokenizer": {"normalizer": None}}, "tokenizer.json: type of the normalizer is None"),
        ({"tokenizer": {"normalizer": {"type": "NFC"}}}, "type of the normalizer is 'NFC'"),
        ({"tokenizer": {"pre_tokenizer": {"type": "Whitespace"}}}, "type of the pre_tokenizer"),
        ({"tokenizer": {"model": {"type": "BPE"}}}, "type of the model is 'BPE', expected"),
        ({"tokenizer": {"model": {"max_input_chars_per_word": 9}}}, "chars_per_word is 9"),
        ({"tokenizer": {"model": {"vocab": {**VOCAB, "good": 6}}}}, "token 6 is 'good', but in"),
        ({"tokenizer": {"added_tokens": [{"content": "[E1]"}]}}, r"adds the token '\[E1\]'"),
        ({"tokenizer": fast(lowercase="no")}, "lowercase must be true, false or null, found 'no'"),
        ({"tokenizer": fast(clean_text=False)}, "clean_text is False, expected True"),
        ({"config": KEPT, "tokenizer": fast(strip_accents=True)},
         "strip_accents is False, but tokenizer.json beside it says True"),
        ({"config": {"do_lower_case": True}, "tokenizer": fast(lowercase=False)},
         "do_lower_case is True, but tokenizer.json"),
    ],
)  # fmt: skip
def test_what_our_tokenizer_cannot_do_is_refused_by_name(folder, contents, message):
    write_tokenizer(folder, **contents)
    with pytest.raises(UserError, match=message) as error:
        load_model(folder)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [[], 3, "x", {"a": []}, None])
@pytest.mark.parametrize("key", ["normalizer", "model", "pre_tokenizer", "added_tokens"])
def test_hostile_files_end_in_one_line(folder, key, content):
    write_tokenizer(folder, tokenizer={key: content})
    try:
        load_model(folder)
    except UserError as e:
        assert "tokenizer.json" in str(e)


def test_usual_files_are_accepted(folder):
    specials = dict(zip(("pad", "unk", "cls", "sep", "mask"), TOKENS, strict=False))
    config = {f"{name}_token": token for name, token in specials.items()}
    added = [{"id": i, "content": token, "special": True} for i, token in enumerate(TOKENS[:5])]
    write_tokenizer(
        folder,
        {**config, "added_tokens_decoder": {str(t["id"]): t for t in added}, "never_split": None,
         "do_basic_tokenize": True, "tokenizer_class": "BertTokenizer", "do_lower_case": True},
        {**fast(lowercase=True, strip_accents=None, clean_text=True), "added_tokens": added,
         "pre_tokenizer": {"type": "BertPreTokenizer"},
         "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": VOCAB}},
        special_tokens_map=config, added_tokens={},
    )  # fmt: skip
    assert load_model(folder).config.extra == {"do_lower_case": True}


def test_words_that_an_accent_tells_apart(folder):
    write_tokenizer(folder, KEPT)
    kept = tokenizer_of(load_model(folder))
    assert kept.tokens(["Schön schon"]) == [["schön", "schon"]]
    write_tokenizer(folder, {"do_lower_case": False, "strip_accents": True})
    assert tokenizer_of(load_model(folder)).tokens(["É é"]) == [["E", "e"]]
    write_tokenizer(folder, {"tokenize_chinese_chars": False})
    assert tokenizer_of(load_model(folder)).tokens(["東京"]) == [["東京"]]
    write_tokenizer(folder, {})
    assert tokenizer_of(load_model(folder)).tokens(["東京 Schön"]) == [["東", "京", "schon"]]


def test_fingerprints_of_todays_settings_stay():
    vocab = Vocab("v", tiny.TOKENS, {token: i for i, token in enumerate(tiny.TOKENS)})
    prints = {
        (lower, strip, singles): BertTokenizer(vocab, lower, strip, singles).fingerprint
        for lower in (True, False)
        for strip in (True, False, None)
        for singles in (True, False)
    }
    # Of feature caches and packed rows that are on disks.
    assert (
        prints[True, None, True] == prints[True, True, True] == "2dbe73d4146e2b634001c95cadbb03f5"
    )
    assert (
        prints[False, None, True]
        == prints[False, False, True]
        == "d78b101cb7655a9792ba58d6c33706c2"
    )
    assert len(set(prints.values())) == 8


@pytest.mark.parametrize("first", needs.each_of(convert.FORMATS))
@pytest.mark.parametrize("second", needs.each_of(convert.FORMATS))
def test_settings_travel_through_every_format(folder, tmp_path, first, second):
    write_tokenizer(folder, {**KEPT, "tokenize_chinese_chars": False})
    model = load_model(folder)
    convert.convert(model, tmp_path / "first", first)
    convert.convert(load_model(tmp_path / "first"), tmp_path / "second", second)
    again = load_model(tmp_path / "second")
    assert settings_of(again) == {**KEPT, "tokenize_chinese_chars": False}
    assert tokenizer_of(again).fingerprint == tokenizer_of(model).fingerprint
    if second == "huggingface":
        written = json.loads((tmp_path / "second" / "tokenizer_config.json").read_text())
        assert written["strip_accents"] is False and written["tokenize_chinese_chars"] is False


def test_settings_travel_through_fine_tuning_and_factorising(folder, tmp_path, caplog):
    write_tokenizer(folder, KEPT)
    with caplog.at_level("INFO", logger="absl"):
        fingerprint = tokenizer_of(load_model(folder)).fingerprint
    assert "its tokenizer has strip_accents=false" in caplog.text
    flags = {"task_name": "sst-2", "max_seq_length": 16, "data_dir": tmp_path / "data"}
    tiny.make_sst2(tmp_path / "data")
    with tiny.eagerly():
        tiny.run(
            do_train=True, model_dir=folder, output_dir=tmp_path / "tuned", num_train_epochs=1.0,
            **flags,
        )  # fmt: skip
    values = {"model_dir": str(tmp_path / "tuned"), "output_dir": str(tmp_path / "small")}
    factorize.main(factorize.Options(given=frozenset(values), **values))
    for name in ("tuned", "small"):
        model = load_model(tmp_path / name)
        assert tokenizer_of(model).fingerprint == fingerprint
        assert tokenizer_of(model).tokens(["Schön"]) == [["schön"]]


def make_rows(folder, output, **source):
    text = output.with_suffix(".txt")
    text.write_text("\n\n".join(tiny.sentences(200)[0]), encoding="utf-8")
    values = {
        "input_file": str(text), "output_dir": str(output), "max_seq_length": 16,
        "validation_fraction": 0.1, "model_dir": str(folder),
    }  # fmt: skip
    create.run(PretrainingDataOptions(given=frozenset(values), **values))
    return output


def test_settings_travel_through_pretraining(folder, tmp_path):
    write_tokenizer(folder, KEPT)
    rows = make_rows(folder, tmp_path / "rows")
    assert Corpus.open(rows).tokenizer_settings == KEPT
    shape = {"num_hidden_layers": 1, "output_dir": tmp_path / "run", "budget": "2steps"}
    with tiny.eagerly():
        tiny.pretrain(data_dir=rows, **shape)
        tiny.pretrain(data_dir=rows, **{**shape, "budget": "3steps"})  # goes on
    assert settings_of(load_model(tmp_path / "run")) == KEPT
    values = {
        "do_train": True, "model_dir": str(folder), "data_dir": str(rows), "budget": "1steps",
        "output_dir": str(tmp_path / "more"),
    }  # fmt: skip
    write_tokenizer(folder, {"do_lower_case": True})
    with pytest.raises(UserError, match="accents or ideographs treated otherwise"):
        pretraining.run(PretrainingOptions(given=frozenset(values), **values))
    write_tokenizer(folder, KEPT)
    with tiny.eagerly():
        pretraining.run(PretrainingOptions(given=frozenset(values), **values))
    assert settings_of(load_model(tmp_path / "more")) == KEPT
