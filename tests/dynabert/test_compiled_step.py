"""The compiled step over sub-networks, with and without XLA: the same weights."""

import types

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.model_folder import LoadedModel
from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.dynabert.lever import DynaBert
from bert_tf.training.optimization import make_optimizer
from tests import tiny

CONFIG = BertConfig(
    vocab_size=30,
    **{**tiny.SHAPE, "num_hidden_layers": 2, "num_attention_heads": 4},
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    extra={"dynabert": {"rewired": True}},
)


def train(tmp_path, flags=None, **compiled):
    """The weights after three updates, by default with two of four sub-networks each."""
    flags = {
        "width_mult_list": "0.5,1.0", "depth_mult_list": "0.5,1.0",
        "subnetwork_sampling": "random:2", **(flags or {}),
    }  # fmt: skip
    options = tiny.options(do_train=True, output_dir=tmp_path, **flags)
    lever = DynaBert(options)
    lever.source(LoadedModel(CONFIG, {}, "model"))
    model = SequenceClassifier(CONFIG, 2)
    lever.begin(
        types.SimpleNamespace(
            options=options, model=model, chief=True, strategy=None, output_dir=tmp_path
        )
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    inputs = {
        "input_word_ids": rng.integers(1, 30, [4, 6]),
        "input_mask": np.ones([4, 6]),
        "input_type_ids": np.zeros([4, 6]),
    }
    inputs = {name: tf.constant(x, tf.int32) for name, x in inputs.items()}
    batches = tf.data.Dataset.from_tensors((inputs, tf.constant([0, 1, 1, 0]))).repeat(3)
    model.compile(make_optimizer("adamw", 1e-3), levers=[lever], **compiled)
    model.fit(batches, verbose=0)
    return model.arrays()


def test_layers_that_no_depth_runs_have_no_gradient(tmp_path):
    """Their kernels have zeros for it, in a batch as in its parts, and beside the l2 loss."""
    flags = {"depth_mult_list": "0.5", "subnetwork_sampling": "all"}
    expected = train(tmp_path, flags)
    for compiled in ({"accumulation_steps": 2}, {"regularization_scale": 0.0}):
        for name, found in train(tmp_path, flags, **compiled).items():
            np.testing.assert_allclose(found, expected[name], atol=2e-5, err_msg=name)
    assert np.isfinite(train(tmp_path, flags, regularization_scale=0.1)["output_bias"]).all()


def test_a_model_saves_what_it_was_whatever_it_runs(tmp_path):
    model = SequenceClassifier(CONFIG, 2)
    ids = {name: np.ones([2, 3], np.int32)
           for name in ("input_word_ids", "input_mask", "input_type_ids")}  # fmt: skip
    model.compile(make_optimizer("adamw", 1e-3))
    whole = model.predict(ids, verbose=0)
    model.set_subnetwork(width=0.5, depth=0.5)
    half = model.predict(ids, verbose=0)
    np.testing.assert_allclose(half, model.forward(ids, **model.subnetwork.forward)[0], atol=1e-6)
    assert abs(half - whole).max() > 0
    tf.train.Checkpoint(model=model).write(str(tmp_path / "state"))
    model.set_subnetwork()
    function = model.predict_function
    np.testing.assert_array_equal(model.predict(ids, verbose=0), whole)
    assert model.predict_function is function  # not traced anew


@pytest.mark.parametrize("compiled", [{"jit_compile": True}, {"accumulation_steps": 2}])
def test_a_sample_of_subnetworks_trains_the_same_weights(tmp_path, compiled):
    expected = train(tmp_path)
    for name, found in train(tmp_path, **compiled).items():
        np.testing.assert_allclose(found, expected[name], atol=2e-5, err_msg=name)
