"""The encoder against Google's own program (fixtures/google_bert: TF 1.15, modeling.py)."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import bert_tf  # noqa: F401  (before tensorflow: it asks for tf_keras)
from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder
from bert_tf.heads import ClassifierHead, MaskedLMHead, NextSentenceHead

FOLDER = pathlib.Path(__file__).parents[1] / "fixtures/google_bert"


@pytest.fixture(scope="module")
def google():
    """(arrays of the golden file, encoder and heads with the checkpoint's weights, inputs)."""
    config = BertConfig.from_json_file(FOLDER / "bert_config.json")
    encoder = BertEncoder(config)
    parts = {
        "encoder": encoder,
        "classifier": ClassifierHead(3, config.hidden_size),
        "masked_lm": MaskedLMHead(config, encoder.get_embedding_table()),
        "next_sentence": NextSentenceHead(config),
    }
    reader = tf.train.load_checkpoint(str(FOLDER / "bert_model.ckpt"))
    for part in parts.values():
        for variable in part.trainable_variables:
            variable.assign(reader.get_tensor(variable.name.split(":")[0]))
    golden = np.load(FOLDER / "golden.npz")
    inputs = {
        "input_word_ids": tf.constant(golden["input_ids"], tf.int32),
        "input_mask": tf.constant(golden["input_mask"], tf.int32),
        "input_type_ids": tf.constant(golden["segment_ids"], tf.int32),
    }
    return golden, parts, inputs


def test_every_layer_and_every_head(google):
    golden, parts, inputs = google
    encoder = parts["encoder"]
    embedded = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
    np.testing.assert_allclose(embedded, golden["embedding_output"], atol=1e-5)
    outputs = encoder(inputs)
    for i, hidden in enumerate(outputs["encoder_outputs"]):
        np.testing.assert_allclose(hidden, golden[f"layer_{i}"], atol=1e-5)
    pooled, sequence = outputs["pooled_output"], outputs["sequence_output"]
    np.testing.assert_allclose(pooled, golden["pooled_output"], atol=1e-5)
    np.testing.assert_allclose(parts["classifier"](pooled), golden["logits"], atol=1e-5)
    np.testing.assert_allclose(parts["masked_lm"](sequence), golden["mlm_logits"], atol=1e-5)
    np.testing.assert_allclose(parts["next_sentence"](pooled), golden["nsp_logits"], atol=1e-5)


@pytest.mark.parametrize("first_token_only", [False, True])
def test_loss_and_gradients(google, first_token_only):
    golden, parts, inputs = google
    encoder, classifier = parts["encoder"], parts["classifier"]
    variables = encoder.trainable_variables + classifier.trainable_variables
    with tf.GradientTape() as tape:
        hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
        sequence, _ = encoder.transform(
            hidden, inputs["input_mask"], first_token_only=first_token_only
        )
        logits = classifier(encoder.pool(sequence))
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(golden["labels"], logits)
        )
    assert float(loss) == pytest.approx(float(golden["loss"]), abs=1e-5)
    gradients = tape.gradient(loss, variables)
    names = {v.name.split(":")[0] for v in variables}
    assert names == {k.removeprefix("grad/") for k in golden.files if k.startswith("grad/")}
    for variable, gradient in zip(variables, gradients, strict=True):
        expected = golden["grad/" + variable.name.split(":")[0]]
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, atol=1e-4)


def test_masked_lm_at_chosen_positions(google):
    golden, parts, inputs = google
    positions = np.array([[3, 1], [0, 4], [2, 2], [1, 0]], np.int32)
    sequence = parts["encoder"](inputs)["sequence_output"]
    logits = parts["masked_lm"](sequence, positions)
    expected = np.take_along_axis(golden["mlm_logits"], positions[..., None], 1)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
