"""The pruning original's numbers: masked evaluation, and 30 steps of its optimisation."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.classification.model import SequenceClassifier
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.pruning.lever import GateTraining, make_pruner
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.schedules import make_schedule
from flop.hard_concrete import HardConcrete
from tests import tiny

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
STEPS = 30
# The tolerances that come with the fixture.
SERIES, WEIGHTS, LOG_ALPHA = 1e-4, 1e-4, 1e-2


@pytest.fixture(scope="module")
def source():
    return load_model(FIXTURES / "flop" / "bert_model_f.ckpt")


@pytest.fixture(scope="module")
def batch():
    with np.load(FIXTURES / "google_bert" / "golden.npz") as golden:
        names = {
            "input_word_ids": "input_ids", "input_mask": "input_mask",
            "input_type_ids": "segment_ids",
        }  # fmt: skip
        inputs = {ours: tf.constant(golden[name], tf.int32) for ours, name in names.items()}
        return inputs, tf.constant(golden["labels"], tf.int32)


def make_classifier(source, arrays):
    factory = kernels.factory(source.config, arrays)
    encoder = BertEncoder(source.config, dense_factory=factory)
    model = SequenceClassifier(source.config, num_outputs=3, encoder=encoder)
    assign_arrays(model.trainable_variables, arrays, source.source)
    return model


def test_masked_evaluation_is_the_originals(source, batch):
    model = make_classifier(source, source.arrays)
    inputs, labels = batch
    logits, _ = model.forward(inputs, training=False)
    sequence = model.encoder(inputs, training=False)["encoder_outputs"]
    with np.load(FIXTURES / "flop" / "golden.npz") as golden:
        np.testing.assert_allclose(logits, golden["eval_logits"], rtol=0, atol=1e-5)
        for index, hidden in enumerate(sequence):
            expected = golden[f"eval_layer_{index}"]
            np.testing.assert_allclose(hidden, expected, rtol=0, atol=1e-5)
        loss = tf.reduce_mean(model.example_losses(labels, logits))
        np.testing.assert_allclose(loss, golden["eval_loss"], rtol=0, atol=1e-5)


@tf.autograph.experimental.do_not_convert
def fixed_noise(layer):
    """The fixture's: the same at every step."""
    return tf.constant([((37 * j + 11) % 100 + 0.5) / 100 for j in range(layer.units)], tf.float32)


@pytest.mark.parametrize("learning_rate", [0.0, 0.001])
def test_thirty_steps_are_the_originals(source, batch, learning_rate, monkeypatch):
    monkeypatch.setattr(HardConcrete, "_uniform", fixed_noise)
    arrays = {
        name: np.full_like(value, 5.0) if name.endswith("log_alpha") else value
        for name, value in source.arrays.items()
    }
    model = make_classifier(source, arrays)
    options = tiny.options(
        alpha_learning_rate=5.0, lambda_learning_rate=10.0, learning_rate_warmup=5,
        target_sparsity=0.6, target_sparsity_warmup=10, sparsity_base="factorized",
    )  # fmt: skip
    schedule = make_schedule("linear", learning_rate, STEPS, warmup_steps=3)
    pruner = make_pruner(options, source, model.encoder, STEPS)
    model.compile(
        optimizer=make_optimizer("adamw", schedule, bias_correction=False),
        levers=[GateTraining(pruner)],
        train_weights=learning_rate > 0,
    )
    step = tf.function(model.train_step)
    rows = [{k: float(v) for k, v in step(batch).items()} for _ in range(STEPS)]

    key = f"model_lr_{learning_rate or 0}"
    series = json.loads((FIXTURES / "flop_sync" / "series.json").read_text())[key]
    ours = {"lambda_1_1": "lambda_1", "lambda_2_1": "lambda_2"}
    for name in set(series[0]) - {"model_lr"}:
        found = [row[ours.get(name, name)] for row in rows]
        expected = [row[name] for row in series]
        np.testing.assert_allclose(found, expected, rtol=0, atol=SERIES, err_msg=name)
    with np.load(FIXTURES / "flop_sync" / "golden.npz") as golden:
        prefix = f"final_lr{learning_rate or 0}/"
        variables = {v.name.split(":")[0]: v for v in model.trainable_variables}
        variables |= {"lambda_1": pruner.lambda_1, "lambda_2": pruner.lambda_2}
        finals = [name for name in golden.files if name.startswith(prefix)]
        assert len(finals) == 23
        for name in finals:
            atol = LOG_ALPHA if name.endswith("log_alpha") else WEIGHTS
            found = variables[name.removeprefix(prefix)].numpy()
            np.testing.assert_allclose(found, golden[name], rtol=0, atol=atol, err_msg=name)
