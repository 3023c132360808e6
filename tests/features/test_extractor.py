"""What is extracted is what the encoder computes, whatever it is made of and beside which rows."""

import dataclasses

import numpy as np
import pytest

from bert_tf import text_lines
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.features import Extractor, extractor
from tests import tiny
from tests.export import models

TEXTS = ["good film", "", ("so dull", "a lovely plot, it was"), "very " * 30, "bad", ("", "nice")]
FORMS = {
    "dense": ("google", ()),
    "pre-LN": ("pre_norm", ()),
    "factorised": ("google", (3, 4, 5)),
    "sub-network": ("uneven", ()),
}


def make(folder, switches="google", ranks=(), **changes):
    """Returns the `LoadedModel` of a folder with a random encoder of two layers."""
    model = models.make(switches, "encoder", ranks, **changes).model
    tokens = tiny.TOKENS + [f"[unused{i}]" for i in range(50 - len(tiny.TOKENS))]
    (folder / "tokens.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    save_model_folder(folder / "model", model.config, model.arrays, folder / "tokens.txt")
    return load_model(folder / "model")


@pytest.fixture(autouse=True, scope="module")
def eagerly():
    """Tracing takes longer than what is computed here."""
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make(tmp_path_factory.mktemp("dense"))


def states_of(model, rows):
    """Yields ([embeddings, layer 1, ...] float32 [tokens, hidden], pooled) by the encoder alone."""
    encoder = BertEncoder(model.config, kernels.factory(model.config, model.arrays))
    encoder({"input_word_ids": np.ones([1, 1], np.int32)})
    for variable in encoder.weights:
        variable.assign(model.arrays[variable.name.split(":")[0]])
    tokenizer = tokenizer_of(model)
    for row in rows:
        texts = [[row]] if isinstance(row, str) else [[text] for text in row]
        inputs = tokenizer.encode(*texts, max_seq_length=20)
        outputs = encoder(inputs)
        embedded = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
        layers = [embedded, *outputs["encoder_outputs"][:-1], outputs["sequence_output"]]
        yield [x.numpy()[0] for x in layers], outputs["pooled_output"].numpy()[0]


@pytest.mark.parametrize("form", FORMS)
def test_layers_are_the_encoders(tmp_path, form):
    model = make(tmp_path, *FORMS[form])
    extract = Extractor(model, layers=[-1, 0, -2], max_seq_length=20, batch_size=2)
    for (states, _), found in zip(states_of(model, TEXTS), extract(TEXTS), strict=True):
        assert list(found.vectors) == [-1, 0, -2]
        for key, depth in {-1: 2, 0: 0, -2: 1}.items():
            np.testing.assert_allclose(found.vectors[key], states[depth], atol=1e-5)


def test_one_vector_a_row(model):
    poolings = {
        "mean": lambda states, _: states[2].mean(0),
        "cls": lambda states, _: states[2][0],
        "pooled": lambda _, pooled: pooled,
    }
    computed = list(states_of(model, TEXTS))
    for pooling, expected in poolings.items():
        extract = Extractor(model, pooling=pooling, max_seq_length=20, batch_size=4)
        assert extract.keys == ["pooled" if pooling == "pooled" else -1]
        for states, found in zip(computed, extract(TEXTS), strict=True):
            vector = found.vectors[extract.keys[0]]
            np.testing.assert_allclose(vector, expected(*states), atol=1e-5)


def test_tokens_are_those_of_the_row(model):
    found = list(Extractor(model, max_seq_length=9)(TEXTS))
    assert [x.tokens for x in found[:2]] == [["[CLS]", "good", "film", "[SEP]"], ["[CLS]", "[SEP]"]]
    assert found[2].tokens == [
        "[CLS]",
        "so",
        "dull",
        "[SEP]",
        *["a", "lovely", "plot", ",", "[SEP]"],
    ]
    assert [len(x.tokens) for x in found] == [len(x.ids) for x in found] == [4, 2, 9, 9, 3, 4]
    assert all(x.vectors[-1].shape == (len(x.ids), 16) for x in found)


def test_the_layers_that_there_are(model):
    assert Extractor(model).keys == [-1, -2]  # of Google's four
    assert Extractor(model, pooling="mean").keys == [-1]
    same = next(Extractor(model, layers=[2, 1])(["good"])).vectors
    other = next(Extractor(model, layers=[-1, -2])(["good"])).vectors
    assert list(same) == [2, 1]
    for a, b in zip(same.values(), other.values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("limit", ["rows", "values", None])
def test_the_order_is_kept_whatever_the_pieces(model, monkeypatch, limit):
    rows = [f"{'very ' * (i * 7 % 13)}good" for i in range(40)]
    if limit == "rows":
        monkeypatch.setattr(text_lines, "_CHUNK_LINES", 3)
    if limit == "values":
        monkeypatch.setattr(extractor, "_MOST_VALUES", 500)
    taken = []
    extract = Extractor(model, layers=[-1], batch_size=4)
    found = extract(taken.append(row) or row for row in rows)
    first = next(found)
    assert limit != "rows" or len(taken) == 3  # the others are not read yet
    vectors = [x.vectors[-1] for x in (first, *found)]
    for i, row in enumerate(rows):
        alone = next(extract([row])).vectors[-1]
        np.testing.assert_allclose(vectors[i], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": [-3]}, r"--layers: -3 is none of the model's 2 layers: expected -2 \(the fir"),
        ({"layers": [3]}, "--layers: 3 is none of the model's 2 layers"),
        ({"layers": [2, -1]}, "--layers: 2 and -1 are the same layer"),
        ({"max_seq_length": 41}, "--max_seq_length=41: .* takes 40 tokens at most"),
        ({"pooling": "max"}, "--pooling=max: expected one of none, mean, cls, pooled"),
    ],
)
def test_what_cannot_be_is_refused(model, arguments, message):
    with pytest.raises(UserError, match=message):
        Extractor(model, **arguments)


def test_models_that_lack_something(tmp_path, model):
    (tmp_path / "a").mkdir()
    without = make(tmp_path / "a", pooler=False)
    with pytest.raises(UserError, match=r"--pooling=pooled: .* has no pooler: use"):
        Extractor(without, pooling="pooled")
    assert next(Extractor(without, pooling="cls")(["good"])).vectors[-1].shape == (16,)
    (tmp_path / "b").mkdir()
    single = make(tmp_path / "b", "relu")
    with pytest.raises(UserError, match=r"row 1: is a pair, but .* knows single texts only"):
        list(Extractor(single)(["good", ("a", "b")]))
    with pytest.raises(UserError, match=r"holds no vocab\.txt"):
        Extractor(dataclasses.replace(model, vocab_file=None))


def test_numbers_that_are_not_finite_are_refused(model):
    name = "bert/encoder/layer_1/output/dense/kernel"
    arrays = {**model.arrays, name: np.full_like(model.arrays[name], 3e38)}
    with pytest.raises(UserError, match="computes numbers that are not finite"):
        list(Extractor(dataclasses.replace(model, arrays=arrays))(["good"]))
