"""The masked language model: its loss, what of it is trained, and its folder."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.shapes import check_shapes
from bert_tf.config import BertConfig
from bert_tf.errors import UserError
from bert_tf.pretraining.model import MaskedLanguageModel, MaskedLMEvaluator
from bert_tf.training.optimization import make_optimizer
from tests import tiny

VOCAB = 29  # padded to 32
CONFIG = BertConfig(
    vocab_size=VOCAB, **tiny.SHAPE, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
)


def make_batch(rows=8, length=12, predictions=3, seed=0):
    """A batch whose rows have 1 to 3 predictions."""
    rng = np.random.default_rng(seed)
    weights = np.arange(predictions) < 1 + np.arange(rows)[:, None] % predictions
    batch = {
        "input_word_ids": rng.integers(5, VOCAB, [rows, length]),
        "masked_lm_positions": rng.integers(1, length, [rows, predictions]) * weights,
        "masked_lm_ids": rng.integers(5, VOCAB, [rows, predictions]) * weights,
    }
    tensors = {name: tf.constant(value, tf.int32) for name, value in batch.items()}
    return {**tensors, "masked_lm_weights": tf.constant(weights, tf.float32)}


def google_batch(**kwargs):
    """The same with what Google's records have besides."""
    batch = make_batch(**kwargs)
    ids = batch["input_word_ids"]
    mask = tf.cast(tf.range(ids.shape[1]) < 10, tf.int32)[None] * tf.ones_like(ids)
    types = tf.cast(tf.range(ids.shape[1]) > 5, tf.int32)[None] * tf.ones_like(ids)
    labels = tf.range(ids.shape[0]) % 2
    return {**batch, "input_mask": mask, "input_type_ids": types, "next_sentence_labels": labels}


def make_model(config=CONFIG, next_sentence=False, **compile_arguments):
    model = MaskedLanguageModel(config, next_sentence)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))
    model.compile(optimizer=make_optimizer("adamw", 1e-2), run_eagerly=True, **compile_arguments)
    return model


def gradients(model, batch):
    """(logs, {name: gradient}) of one update, left undone."""
    found = {}

    def apply_gradients(pairs, **_):
        found.update({v.name: tf.convert_to_tensor(g).numpy() for g, v in pairs})

    model.optimizer.apply_gradients = apply_gradients
    return model.train_step(batch), found


@pytest.mark.parametrize("norm_position", ["post", "pre"])
def test_the_loss_is_googles_over_the_masked_positions(norm_position):
    model, batch = make_model(CONFIG.replace(norm_position=norm_position)), make_batch()
    hidden = model.encoder({"input_word_ids": batch["input_word_ids"]})["sequence_output"]
    logits = model.masked_lm(hidden, batch["masked_lm_positions"])[..., :VOCAB]
    nll = -tf.gather(tf.nn.log_softmax(logits), batch["masked_lm_ids"], batch_dims=2)
    weights = batch["masked_lm_weights"]
    expected = tf.reduce_sum(nll * weights) / (tf.reduce_sum(weights) + 1e-5)
    logs, _ = gradients(model, batch)
    assert float(logs["loss"]) == pytest.approx(float(expected), rel=1e-5)
    right = tf.cast(tf.argmax(logits, -1, tf.int32) == batch["masked_lm_ids"], tf.float32)
    accuracy = tf.reduce_sum(right * weights) / tf.reduce_sum(weights)
    assert float(logs["masked_lm_accuracy"]) == pytest.approx(float(accuracy), rel=1e-4)


def test_the_bias_of_the_vocabulary_counts():
    model, batch = make_model(), make_batch()
    before = model(batch)[..., 7].numpy()
    model.masked_lm.output_bias[7].assign(model.masked_lm.output_bias[7] + 3.0)
    np.testing.assert_allclose(model(batch)[..., 7], before + 3, atol=1e-5)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_weighs_every_masked_position_alike(parts):
    logs, whole = gradients(make_model(clip_norm=None), make_batch())
    more, accumulated = gradients(
        make_model(clip_norm=None, accumulation_steps=parts), make_batch()
    )
    assert float(more["loss"]) == pytest.approx(float(logs["loss"]), rel=1e-5)
    for name, value in whole.items():
        np.testing.assert_allclose(accumulated[name], value, atol=1e-6, err_msg=name)


def test_padding_of_the_vocabulary_is_never_predicted_and_not_saved():
    model, batch = make_model(clip_norm=None), make_batch()
    assert model(batch).shape[-1] == 32
    assert (tf.nn.softmax(model(batch))[..., VOCAB:].numpy() == 0).all()
    _, found = gradients(model, batch)
    table = found["bert/embeddings/word_embeddings:0"]
    assert np.abs(table[:VOCAB]).max() > 0
    assert (table[VOCAB:] == 0).all()
    arrays = model.arrays()
    check_shapes(CONFIG, arrays, "the model")
    assert arrays["cls/predictions/output_bias"].shape == (VOCAB,)
    assert model.num_parameters == sum(x.size for x in arrays.values())


def test_what_is_saved_loads_into_the_same_predictions():
    model, batch = make_model(), make_batch()
    other = MaskedLanguageModel(CONFIG)
    report = other.load(model.arrays(), "the model")
    assert not report.left
    np.testing.assert_allclose(other(batch), model(batch), atol=1e-6)


def test_an_encoder_alone_is_a_start_too():
    arrays = {k: v for k, v in make_model().arrays().items() if k.startswith("bert/")}
    report = MaskedLanguageModel(CONFIG).load(arrays, "an encoder")
    assert "cls/predictions/output_bias" in report.initialized
    with pytest.raises(UserError, match="has shape"):
        MaskedLanguageModel(CONFIG.replace(hidden_size=32)).load(arrays, "an encoder")


def test_without_next_sentences_the_pooler_is_left_alone():
    model = make_model()
    before = model.arrays()
    model.train_step(make_batch())
    after = model.arrays()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert set(before) - changed == {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"}


def test_googles_data_train_both_losses():
    model, batch = make_model(next_sentence=True), google_batch()
    logs = model.train_step(batch)
    parts = float(logs["masked_lm_loss"]) + float(logs["next_sentence_loss"])
    assert float(logs["loss"]) == pytest.approx(parts, rel=1e-5)
    assert 0 <= float(logs["next_sentence_accuracy"]) <= 1
    assert "cls/seq_relationship/output_weights" in model.arrays()


def test_googles_mask_hides_the_padding():
    model, batch = make_model(next_sentence=True), google_batch()
    other = dict(batch)
    ids = batch["input_word_ids"].numpy()
    ids[:, 10:] = 5
    other["input_word_ids"] = tf.constant(ids)
    inside = tf.minimum(batch["masked_lm_positions"], 9)
    for inputs in (batch, other):
        inputs["masked_lm_positions"] = inside
    np.testing.assert_allclose(model(other), model(batch), atol=1e-4)


def test_the_evaluation_is_that_of_all_batches_together():
    model = make_model(next_sentence=True)
    batches = [google_batch(rows=rows, seed=rows) for rows in (4, 7)]
    dataset = tf.data.Dataset.from_generator(
        lambda: batches,
        output_signature={
            name: tf.TensorSpec([None, *x.shape[1:]], x.dtype) for name, x in batches[0].items()
        },
    )
    metrics = MaskedLMEvaluator(model, dataset).evaluate()
    sums = sum(model.sums(batch).numpy() for batch in batches)
    assert metrics["masked_lm_loss"] == pytest.approx(sums[2] / sums[0], rel=1e-5)
    assert metrics["next_sentence_accuracy"] == pytest.approx(sums[5] / 11, rel=1e-5)
    total = metrics["masked_lm_loss"] + metrics["next_sentence_loss"]
    assert metrics["loss"] == pytest.approx(total)


def test_training_learns_what_is_always_the_same():
    model, batch = make_model(), make_batch()
    losses = [float(model.train_step(batch)["loss"]) for _ in range(30)]
    assert losses[-1] < losses[0] / 2
