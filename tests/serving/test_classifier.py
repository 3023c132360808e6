"""An exported model says of texts what the model says, whatever their order and length."""

import random
import shutil
import sys

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.errors import UserError
from bert_tf.export import source
from bert_tf.export.computation import model_runner
from bert_tf.serving import Classifier, Prediction, Score
from tests import tiny
from tests.serving import exported

LABELS = ["bad", "so-so", "good"]
LOGITS = 5e-5  # how far two runtimes may be apart on logits up to 10


@pytest.fixture(scope="module")
def texts():
    rng = random.Random(0)
    words = [*tiny.GOOD, *tiny.BAD, *tiny.PLAIN, "abcdefgh", "深度", "unknown", "😀", "\0"]
    made = [" ".join(rng.choices(words, k=rng.randint(0, 25))) for _ in range(60)]
    return ["", "good " * 10_000, *made]


@pytest.fixture
def folder(tmp_path, classifier_folder):
    """A copy of the exported classifier, to be damaged."""
    return shutil.copytree(classifier_folder, tmp_path / "exported")


def logits_of(model_dir, texts, others=None):
    """What the model makes of the ids of TensorFlow's tokenizer."""
    loaded = load_model(model_dir)
    inputs = tokenizer_of(loaded).encode(texts, others, loaded.task["max_seq_length"])
    names = ("input_ids", "attention_mask", "token_type_ids")
    arrays = (x.numpy().astype(np.int64) for x in inputs.values())
    return model_runner(source.of(loaded))(dict(zip(names, arrays, strict=True)))["logits"]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_logits_are_the_models_in_the_order_of_the_texts(
    classifier_folder, model, texts, batch_size
):
    found = Classifier(classifier_folder, threads=1, batch_size=batch_size).logits(texts)
    assert (found.dtype, found.shape) == (np.float32, (len(texts), 3))
    np.testing.assert_allclose(found, logits_of(model, texts), atol=LOGITS)


def test_pairs(classifier_folder, model, texts):
    pairs = list(zip(texts, texts[::-1], strict=True))
    found = Classifier(classifier_folder).logits(pairs)
    np.testing.assert_allclose(found, logits_of(model, texts, texts[::-1]), atol=LOGITS)


def test_a_prediction_is_the_likeliest_label(classifier_folder, model, texts):
    classify = Classifier(classifier_folder)
    logits = logits_of(model, texts).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = classify(iter(texts))
    assert len({found.label for found in predictions}) > 1
    for found, row in zip(predictions, expected, strict=True):
        assert isinstance(found, Prediction)
        assert list(found.probabilities) == LABELS
        np.testing.assert_allclose(list(found.probabilities.values()), row, atol=1e-5)
        assert (
            found.probability
            == found.probabilities[found.label]
            == max(found.probabilities.values())
        )


def test_a_regression_gives_scores(regression_folder, texts):
    regression = Classifier(regression_folder)
    scores = regression(texts)
    assert scores == [Score(float(x)) for x in regression.logits(texts)[:, 0]]
    assert len(set(scores)) > 10


def test_an_encoder_gives_vectors(encoder_folder, texts):
    encoder = Classifier(encoder_folder, batch_size=5)
    for pooling in ("mean", "pooled"):
        vectors = encoder.embed(texts, pooling)
        assert (vectors.dtype, vectors.shape) == (np.float32, (len(texts), 16))
        alone = [encoder.embed([text], pooling)[0] for text in texts]
        np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert not np.allclose(encoder.embed(texts), encoder.embed(texts, "pooled"))


def test_calls_that_a_model_has_no_answer_to(encoder_folder, classifier_folder):
    encoder, classify = Classifier(encoder_folder), Classifier(classifier_folder)
    with pytest.raises(UserError, match=r"is an encoder.*embed"):
        encoder(["a"])
    with pytest.raises(UserError, match="pooling=max: expected mean or pooled"):
        encoder.embed(["a"], pooling="max")
    with pytest.raises(UserError, match="is for classification"):
        classify.embed(["a"])
    with pytest.raises(UserError, match=r"write \[text\]"):
        classify("one text")


def test_no_texts(classifier_folder, encoder_folder):
    assert Classifier(classifier_folder)([]) == []
    assert Classifier(classifier_folder).logits([]).shape == (0, 3)
    assert Classifier(encoder_folder).embed([]).shape == (0, 16)


def test_what_export_model_writes_is_read(model, tmp_path, texts):
    from bert_tf.export.options import ExportOptions
    from bert_tf.export.program import export

    with tiny.eagerly():
        export(ExportOptions(model_dir=str(model), output_dir=str(tmp_path / "exported")))
    found = Classifier(tmp_path / "exported").logits(texts)
    np.testing.assert_allclose(found, logits_of(model, texts), atol=LOGITS)


def test_the_folder_onnx_of_an_export_is_found(folder, tmp_path):
    several = tmp_path / "several"
    several.mkdir()
    folder.rename(several / "onnx")
    assert Classifier(several)(["good"])[0].label in LABELS


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_was_changed_is_refused_unless_asked_for(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b"good", b"fine", 1) + b"\n")
    with pytest.raises(UserError, match=f"{name}: is not the file that was exported"):
        Classifier(folder)
    (folder / name).write_bytes(content)
    exported.change(folder, files={name: {"sha256": "0"}})
    with pytest.raises(UserError, match="is not the file that was exported"):
        Classifier(folder)
    assert Classifier(folder, verify=False)(["good"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "litert"}, r"the format is 'litert'.*--format=onnx"),
        ({"kind": "masked_lm"}, "the kind is 'masked_lm', expected one of classification"),
        ({"labels": None}, "labels is None, expected a list of different strings"),
        ({"labels": ["a", "b", "a"]}, r"labels is \['a', 'b', 'a'\], expected a list of different"),
        ({"labels": ["a", "b"]}, r"gives {'logits': 3}, expected logits of 2 \(one for each label"),
        ({"labels": list("abcd")}, r"gives {'logits': 3}, expected logits of 4"),
        ({"kind": "regression"}, r"gives {'logits': 3}, expected logits of 1"),
        ({"kind": "encoder"}, r"gives {'logits': 3}, expected sequence_output"),
        ({"pairs": "yes"}, "pairs is 'yes', expected true, false or null"),
        ({"max_seq_length": "128"}, "max_seq_length is '128'"),
        ({"truncation": ["head"]}, "truncation is .* expected head or tail or head_tail"),
        ({"files": None}, "is not the file that was exported"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(folder, changes, message):
    exported.change(folder, **changes)
    with pytest.raises(UserError, match=message) as error:
        Classifier(folder)
    assert str(folder) in str(error.value)


def test_missing_and_damaged_files_are_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"holds no export\.json"):
        Classifier(tmp_path)
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Classifier(folder, verify=False)
    (folder / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"model\.onnx: is missing"):
        Classifier(folder)


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_missing_package_is_named(classifier_folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"needs {package}, which is not installed: ") as error:
        Classifier(classifier_folder)
    light = "numpy onnxruntime tokenizers absl-py"  # the package's extra would bring TensorFlow
    assert str(error.value).endswith(f"pip install {light}")


def test_arguments_out_of_range(classifier_folder):
    for arguments in ({"threads": 0}, {"batch_size": 0}):
        with pytest.raises(UserError, match=f"{next(iter(arguments))}=0: expected 1 or more"):
            Classifier(classifier_folder, **arguments)
