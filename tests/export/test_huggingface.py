"""A Hugging Face folder holds the exported model, its factor pairs multiplied."""

import json

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError
from bert_tf.export import huggingface, source
from bert_tf.export.computation import model_runner
from bert_tf.export.source import random_inputs
from tests import tiny
from tests.export import models

RANKS = (3, 0, 1, 5, 4, 2)


def assert_same(one, run):
    model = model_runner(one)
    for shape in ((1, 1), (3, 11), (2, 40)):
        inputs = random_inputs(one.config, shape)
        wanted, found = model(inputs), run(inputs)
        assert set(found) == set(one.outputs)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("head", models.HEADS)
def test_every_head_of_a_factorised_model(tmp_path, head):
    one = models.make("hugging_face", head, ranks=RANKS)
    huggingface.write(one, tmp_path, None)
    assert_same(one, huggingface.runner(tmp_path))


@pytest.mark.parametrize("switches", ["google", "relu", "tanh", "uneven", "distilbert", "electra"])
def test_every_switch_that_their_model_has(tmp_path, switches):
    one = models.make(switches)
    huggingface.write(one, tmp_path, None)
    assert_same(one, huggingface.runner(tmp_path))


def test_dense_arrays_are_read_back_bit_for_bit(tmp_path):
    one = models.make("hugging_face")
    huggingface.write(one, tmp_path, None)
    tiny.assert_same_bits(load_model(tmp_path).arrays, one.arrays)


def test_a_pair_is_multiplied_and_keeps_its_bias():
    one = models.make("hugging_face", ranks=RANKS)
    config, arrays = huggingface.merged(one.config, one.arrays)
    assert not any("_p/" in name or "_q/" in name for name in arrays)
    assert config.pruned_layers_dim == {}
    scope = "bert/encoder/layer_0/attention/self/"
    product = one.arrays[f"{scope}query_p/kernel"] @ one.arrays[f"{scope}query_q/kernel"]
    np.testing.assert_allclose(arrays[f"{scope}query/kernel"], product, atol=1e-6)
    np.testing.assert_array_equal(arrays[f"{scope}query/bias"], one.arrays[f"{scope}query_q/bias"])
    assert not arrays[f"{scope}key/kernel"].any()  # of rank 0


def test_labels_case_and_vocabulary_go_along(tmp_path):
    folder = tiny.make_classifier(
        tmp_path / "model", ["bad", "good"], extra={"do_lower_case": False}
    )
    (tmp_path / "theirs").mkdir()
    huggingface.write(source.of(load_model(folder)), tmp_path / "theirs", None)
    theirs = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert theirs["id2label"] == {"0": "bad", "1": "good"}
    tokenizer = json.loads((tmp_path / "theirs" / "tokenizer_config.json").read_text())
    assert tokenizer["do_lower_case"] is False
    assert (tmp_path / "theirs" / "vocab.txt").read_text() == (folder / "vocab.txt").read_text()


@pytest.mark.parametrize(("switches", "what"), [("pre_norm", "pre-LN"), ("gated", "gated_ffn")])
def test_what_theirs_has_no_place_for_is_refused(tmp_path, switches, what):
    with pytest.raises(UserError, match=f"a Hugging Face folder cannot hold.*{what}"):
        huggingface.write(models.make(switches), tmp_path, None)
