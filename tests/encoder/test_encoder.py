import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import bert_tf  # noqa: F401  (before tensorflow: it asks for tf_keras)
from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder, Dense, Dropout, dropout_seed
from bert_tf.encoder.dense import LayerNorm, activation

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=12,
    type_vocab_size=2,
    initializer_range=0.3,
)
IDS = np.array([[2, 7, 9, 3, 0, 0], [2, 11, 3, 14, 5, 3]], np.int32)
MASK = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int32)
TYPES = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]], np.int32)
INPUTS = {"input_word_ids": IDS, "input_mask": MASK, "input_type_ids": TYPES}


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(3)


def encoder_of(**changes):
    encoder = BertEncoder(CONFIG.replace(**changes))
    for variable in encoder.trainable_variables:  # so that biases and norms matter too
        variable.assign_add(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.2))
    return encoder


def test_variables_carry_google_names():
    names = {v.name.removesuffix(":0") for v in BertEncoder(CONFIG).trainable_variables}
    assert len(names) == 5 + 16 * 3 + 2
    assert {
        "bert/embeddings/word_embeddings",
        "bert/embeddings/LayerNorm/gamma",
        "bert/encoder/layer_2/attention/self/query/kernel",
        "bert/encoder/layer_0/attention/output/dense/bias",
        "bert/encoder/layer_1/attention/output/LayerNorm/beta",
        "bert/encoder/layer_0/intermediate/dense/kernel",
        "bert/encoder/layer_2/output/LayerNorm/gamma",
        "bert/pooler/dense/kernel",
    } <= names


@pytest.mark.parametrize("norm_position", ["post", "pre"])
def test_padding_does_not_change_real_tokens(norm_position):
    encoder = encoder_of(norm_position=norm_position)
    padded = encoder(INPUTS)
    alone = encoder({k: v[:1, :4] for k, v in INPUTS.items()})
    np.testing.assert_allclose(
        padded["sequence_output"][:1, :4], alone["sequence_output"], atol=1e-5
    )


@pytest.mark.parametrize("norm_position", ["post", "pre"])
def test_first_token_only_is_the_first_row(norm_position):
    encoder = encoder_of(norm_position=norm_position)
    hidden = encoder.embed(IDS, TYPES)
    full, _ = encoder.transform(hidden, MASK)
    first, _ = encoder.transform(hidden, MASK, first_token_only=True)
    assert first.shape == (2, 1, 16)
    np.testing.assert_allclose(first, full[:, :1], atol=1e-5)


@pytest.mark.parametrize("norm_position", ["post", "pre"])
def test_chosen_positions_are_those_rows(norm_position):
    encoder = encoder_of(norm_position=norm_position)
    hidden = encoder.embed(IDS, TYPES)
    full, _ = encoder.transform(hidden, MASK)
    positions = tf.constant([[2, 0], [1, 1]])
    chosen, _ = encoder.transform(hidden, MASK, positions=positions)
    np.testing.assert_allclose(chosen, tf.gather(full, positions, batch_dims=1), atol=1e-5)


def test_pre_norm_equals_its_formula():
    encoder = encoder_of(norm_position="pre", num_hidden_layers=1)
    hidden = encoder.embed(IDS, TYPES)
    layer = encoder.encoder_layers[0]
    normal = layer.attention_norm(hidden)
    batch, length, width = normal.shape

    def heads(x):
        return tf.transpose(tf.reshape(x, [batch, length, 4, -1]), [0, 2, 1, 3])

    query, key, value = (heads(f(normal)) for f in (layer.query, layer.key, layer.value))
    scores = tf.matmul(query, key, transpose_b=True) / (width // 4) ** 0.5
    scores -= 10000.0 * (1.0 - tf.cast(MASK, tf.float32))[:, None, None, :]
    context = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), [0, 2, 1, 3])
    middle = hidden + layer.attention_output(tf.reshape(context, normal.shape))
    wide = layer.activation(layer.intermediate(layer.ffn_norm(middle)))
    expected = encoder.final_norm(middle + layer.ffn_output(wide))
    np.testing.assert_allclose(encoder.transform(hidden, MASK)[0], expected, atol=1e-5)


def test_forward_start_continues_from_a_cached_layer():
    encoder = encoder_of()
    full, outputs = encoder.transform(encoder.embed(IDS, TYPES), MASK)
    rest, _ = encoder.transform(outputs[0], MASK, layers=range(1, 3))
    np.testing.assert_allclose(rest, full, atol=1e-6)


def test_depth_runs_the_chosen_layers():
    encoder = encoder_of()
    shallow = BertEncoder(CONFIG.replace(num_hidden_layers=2))
    kept = {
        v.name.replace("layer_2", "layer_1"): v
        for v in encoder.variables
        if "layer_1" not in v.name
    }
    for variable in shallow.variables:
        variable.assign(kept[variable.name])
    chosen, _ = encoder.transform(encoder.embed(IDS, TYPES), MASK, layers=[0, 2])
    np.testing.assert_allclose(chosen, shallow(INPUTS)["sequence_output"], atol=1e-6)


def test_width_is_the_network_of_the_first_heads_and_neurons():
    """DynaBERT's slicing: half width = zero the output rows of the other heads and neurons."""
    encoder = encoder_of()
    half, _ = encoder.transform(encoder.embed(IDS, TYPES), MASK, width=0.5)
    for layer in encoder.encoder_layers:
        for down, kept in ((layer.attention_output, 8), (layer.ffn_output, 12)):
            kernel = down.kernel.numpy()
            kernel[kept:] = 0
            down.kernel.assign(kernel)
    np.testing.assert_allclose(half, encoder(INPUTS)["sequence_output"], atol=1e-5)
    with pytest.raises(ValueError, match="keeps no head of 4"):
        encoder.transform(encoder.embed(IDS, TYPES), MASK, width=0.1)


@pytest.mark.parametrize("start", [0, 2])
def test_gradient_start_freezes_a_prefix_without_dropout(start):
    encoder = encoder_of()
    encoder.gradient_start = start
    with tf.GradientTape() as tape:
        hidden = encoder.embed(IDS, TYPES, training=True)
        sequence, outputs = encoder.transform(hidden, MASK, training=True)
        loss = tf.reduce_sum(sequence**2)
    np.testing.assert_allclose(hidden, encoder.embed(IDS, TYPES), atol=1e-6)
    frozen = ["bert/embeddings"] + [f"bert/encoder/layer_{i}/" for i in range(start)]
    gradients = tape.gradient(loss, encoder.trainable_variables)
    for variable, gradient in zip(encoder.trainable_variables, gradients, strict=True):
        is_frozen = variable.name.startswith(tuple(frozen)) or "pooler" in variable.name
        assert (gradient is None) == is_frozen, variable.name
    if start:
        _, quiet = encoder.transform(hidden, MASK)
        np.testing.assert_allclose(outputs[start - 1], quiet[start - 1], atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class ScaledDense(Dense):
    """A kernel made of something else: the place of the factorised layers."""

    def call(self, inputs, **units):
        return 2.0 * super().call(inputs, **units)


def test_dense_factory_chooses_the_kernels_and_configs_round_trip():
    encoder = BertEncoder(CONFIG, dense_factory=ScaledDense, gradient_start=1)
    assert isinstance(encoder.encoder_layers[0].query, ScaledDense)
    copy = BertEncoder.from_config(encoder.get_config())
    assert copy.config == CONFIG and copy.gradient_start == 1
    assert isinstance(copy.encoder_layers[2].ffn_output, ScaledDense)
    for layer in (Dense(3, 2, "a/b"), LayerNorm(3, "a/LayerNorm", 1e-6), Dropout(0.3, "a")):
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_missing_mask_and_types_mean_ones_and_zeros():
    encoder = encoder_of()
    explicit = encoder({
        "input_word_ids": IDS,
        "input_mask": np.ones_like(IDS),
        "input_type_ids": np.zeros_like(IDS),
    })  # fmt: skip
    implied = encoder({"input_word_ids": IDS})
    np.testing.assert_array_equal(implied["pooled_output"], explicit["pooled_output"])


def test_dropout_is_a_pure_function_of_its_seed():
    x = tf.ones([50, 40])
    here, there = Dropout(0.25, "here"), Dropout(0.25, "there")

    def masks(seed):
        with dropout_seed(tf.constant([seed, 7])):
            return here(x, training=True).numpy(), there(x, training=True).numpy()

    first, again, other = masks(1), masks(1), masks(2)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any() and (first[0] != first[1]).any()
    assert set(np.unique(first[0])) == {0.0, np.float32(1 / 0.75)}
    assert abs(first[0].mean() - 1) < 0.06
    np.testing.assert_array_equal(here(x, training=False), x)


@pytest.mark.parametrize("name", ["gelu", "gelu_erf", "relu", "tanh", "linear"])
def test_activation_slopes(name):
    x = tf.constant(np.linspace(-4, 4, 41), tf.float32)
    computed, numeric = tf.test.compute_gradient(activation(name), [x], delta=1e-3)
    away_from_kink = np.abs(x) > 1e-2
    difference = np.abs(np.diag(computed[0]) - np.diag(numeric[0]))
    assert difference[away_from_kink].max() < 2e-3


def test_layer_norm_value_and_slope():
    rng = np.random.default_rng(0)
    layer = LayerNorm(5, "x/LayerNorm", epsilon=1e-6)
    layer.gamma.assign(rng.normal(size=5))
    layer.beta.assign(rng.normal(size=5))
    x = tf.constant(rng.normal(size=[2, 3, 5]), tf.float32)
    oracle = keras.layers.LayerNormalization(epsilon=1e-6)
    oracle(x)
    oracle.set_weights([layer.gamma.numpy(), layer.beta.numpy()])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours, theirs = tf.reduce_sum(layer(x) ** 3), tf.reduce_sum(oracle(x) ** 3)
    np.testing.assert_allclose(layer(x), oracle(x), atol=1e-5)
    for a, b in zip(
        tape.gradient(ours, [x, layer.gamma, layer.beta]),
        tape.gradient(theirs, [x, oracle.gamma, oracle.beta]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_close(policy):
    reference = encoder_of()
    expected = reference(INPUTS)["sequence_output"]
    keras.mixed_precision.set_global_policy(policy)
    try:
        encoder = BertEncoder(CONFIG)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for variable, source in zip(encoder.variables, reference.variables, strict=True):
        assert variable.dtype == tf.float32
        variable.assign(source)
    hidden = encoder(INPUTS)["sequence_output"]
    assert hidden.dtype == encoder.compute_dtype
    np.testing.assert_allclose(tf.cast(hidden, tf.float32), expected, atol=0.1)
