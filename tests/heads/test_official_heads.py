"""tf-models-official's heads sit on our encoder unchanged, and its encoder agrees with ours."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

import bert_tf  # noqa: F401  (before tensorflow: it asks for tf_keras)
from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder
from tests import needs

models = needs.tf_models_modeling().models

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=10,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    type_vocab_size=2,
)
INPUTS = {
    "input_word_ids": np.array([[2, 5, 6, 3], [2, 9, 3, 0]], np.int32),
    "input_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32),
    "input_type_ids": np.zeros([2, 4], np.int32),
}


def test_classifier_trains_with_compile_and_fit():
    keras.utils.set_random_seed(0)
    model = models.BertClassifier(BertEncoder(CONFIG), num_classes=3)
    model.compile(
        keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    history = model.fit(INPUTS, np.array([2, 0]), epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2


def test_token_classifier_and_span_labeler():
    encoder = BertEncoder(CONFIG)
    logits = models.BertTokenClassifier(encoder, num_classes=5)(INPUTS)["logits"]
    assert logits.shape == (2, 4, 5)
    start, end = models.BertSpanLabeler(encoder)(INPUTS)
    assert start.shape == end.shape == (2, 4)


def test_pretrainer_with_tied_embeddings():
    encoder = BertEncoder(CONFIG)
    model = models.BertPretrainerV2(encoder, mlm_activation="gelu")
    outputs = model({**INPUTS, "masked_lm_positions": np.array([[1, 2], [1, 0]], np.int32)})
    assert outputs["mlm_logits"].shape == (2, 2, 40)
    np.testing.assert_array_equal(outputs["sequence_output"], encoder(INPUTS)["sequence_output"])
    table = encoder.get_embedding_table()
    with tf.GradientTape() as tape:
        hidden = tf.stop_gradient(outputs["sequence_output"])
        loss = tf.reduce_sum(model.masked_lm(hidden, tf.constant([[1], [2]])))
    assert tape.gradient(loss, table) is not None, "the decoder is tied to the embeddings"
