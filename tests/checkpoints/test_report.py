import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints import names
from bert_tf.checkpoints.report import LoadReport, assign_arrays
from bert_tf.errors import UserError


class Variable:
    """What assign_arrays needs of a variable."""

    def __init__(self, name, shape):
        self.name, self.shape, self.value = f"{name}:0", shape, None

    def assign(self, value):
        self.value = value


def model_variables(config, labels=3):
    shapes = {**names.encoder_shapes(config), "output_weights": (labels, 24)}
    return [Variable(n, s) for n, s in {**shapes, "output_bias": (labels,)}.items()]


def test_arrays_are_assigned_by_name(config, arrays):
    variables = model_variables(config)
    report = assign_arrays(variables, arrays, "here")
    for v in variables:
        assert v.value is arrays[v.name[:-2]]
    assert len(report.loaded) == len(variables) and report.initialized == []
    assert set(report.left.values()) == {"not in this model"}
    assert all(name.startswith("cls/") for name in report.left)


def test_real_variables(config, arrays):
    variable = tf.Variable(tf.zeros([97, 24]), name="bert/embeddings/word_embeddings")
    assign_arrays([variable], arrays, "here")
    np.testing.assert_array_equal(variable, arrays["bert/embeddings/word_embeddings"])


def test_a_head_of_other_labels_is_left_and_the_models_own_stays(config, arrays):
    variables = model_variables(config, labels=2)
    report = assign_arrays(variables, arrays, "here")
    assert [v.value is None for v in variables[-2:]] == [True, True]
    assert report.initialized == ["output_weights", "output_bias"]
    assert report.left["output_weights"] == "other number of labels: 3, the model has 2"
    assert "(other number of labels: 3, the model has 2)" in report.table()


def test_a_missing_pooler_is_reported(config, arrays):
    del arrays["bert/pooler/dense/kernel"], arrays["bert/pooler/dense/bias"]
    report = assign_arrays(model_variables(config), arrays, "here")
    assert report.initialized == ["bert/pooler/dense/kernel", "bert/pooler/dense/bias"]
    assert "at initialisation  bert/pooler/dense/{bias,kernel}" in report.table()


def test_another_shape_changes_nothing(config, arrays):
    variables = model_variables(config.replace(vocab_size=98))
    with pytest.raises(
        UserError, match=r"here: .*word_embeddings has shape \[97, 24\].*\[98, 24\]"
    ):
        assign_arrays(variables, arrays, "here")
    assert all(v.value is None for v in variables)


def test_a_missing_layer_is_an_error(config, arrays):
    deeper = model_variables(config.replace(num_hidden_layers=4))
    with pytest.raises(UserError, match=r"lacks 16 variables of the encoder.*layer_3/"):
        assign_arrays(deeper, arrays, "here")


def test_nothing_in_common(arrays):
    variables = [Variable("roberta/embeddings", (97, 24))]
    with pytest.raises(UserError, match="none of its 64 variables is in the model"):
        assign_arrays(variables, arrays, "here")


def test_the_table_groups_layers(arrays):
    left = {"bert/encoder/layer_1/a/kernel": "odd", "bert/encoder/layer_3/a/kernel": "odd"}
    table = LoadReport("here", list(arrays), left, ["output_bias"]).table()
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert (
        "loaded bert/encoder/layer_{0..2}/attention/self/query/{bias,kernel} 6 variables" in lines
    )
    assert "left bert/encoder/layer_{1,3}/a/kernel 2 variables (odd)" in lines
    assert "at initialisation output_bias 1 variable" in lines
    assert lines[-1] == "total: 64 loaded, 2 left, 1 at initialisation"
    assert len(lines) < 25
