import re

import numpy as np
import pytest

from bert_tf.checkpoints.shapes import check_shapes
from bert_tf.errors import UserError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 96}, "word_embeddings has shape [97, 24], but the configuration says [96"),
        ({"max_position_embeddings": 512}, "position_embeddings has shape [20, 24]"),
        (
            {"intermediate_size": 48},
            "kernel has shape [24, 40], but the configuration says [24, 48",
        ),
        ({"num_hidden_layers": 4}, "layer_3/attention/output/LayerNorm/gamma [24] of the"),
        ({"num_hidden_layers": 2}, "16 encoder variables are not in the configuration (2 layers"),
        ({"norm_position": "pre"}, "variable bert/encoder/LayerNorm/gamma [24]"),
        (
            {"pruned_layers_dim": {"bert/encoder/layer_9/output/dense_p/kernel": 3}},
            "names bert/encoder/layer_9/output/dense_p/kernel, which is no kernel",
        ),
    ],
)
def test_another_shape_than_the_configuration_says(config, arrays, changes, message):
    check_shapes(config, arrays, "here")
    with pytest.raises(UserError, match="^here: .*" + re.escape(message)):
        check_shapes(config.replace(**changes), arrays, "here")


def test_compact_and_masked_models(factorized):
    config, arrays = factorized
    check_shapes(config, arrays, "here")
    scope = "bert/encoder/layer_1/output/dense"
    arrays[f"{scope}_g/log_alpha"] = np.zeros([5], np.float32)
    check_shapes(config.replace(pruned_layers_dim={}), arrays, "here")  # factorised, masked
    ranks = {f"{scope}_p/kernel": 4}
    with pytest.raises(UserError, match=r"dense_p/kernel has shape \[40, 5\].*says \[40, 4\]"):
        check_shapes(config.replace(pruned_layers_dim=ranks), arrays, "here")
    del arrays[f"{scope}_q/bias"]
    with pytest.raises(UserError, match=r"dense_q/bias \[24\] of the configuration is missing"):
        check_shapes(config, arrays, "here")


def test_heads(config, arrays):
    for name in ("bert/pooler/dense/kernel", "bert/pooler/dense/bias"):
        del arrays[name]
    check_shapes(config, arrays, "here")
    arrays["output_bias"] = arrays["output_bias"][:2]
    with pytest.raises(UserError, match="output_weights has 3 labels, output_bias 2"):
        check_shapes(config, arrays, "here")
    del arrays["output_bias"]
    with pytest.raises(UserError, match="only one of output_weights and output_bias"):
        check_shapes(config, arrays, "here")
    arrays["output_weights"] = np.zeros([3, 25], np.float32)
    with pytest.raises(UserError, match=r"output_weights .*says \[labels, 24\]"):
        check_shapes(config, arrays, "here")
