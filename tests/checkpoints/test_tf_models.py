import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf import keras_internals
from bert_tf.checkpoints import google, huggingface, tf_models
from bert_tf.errors import UserError
from tests import needs

modeling = needs.tf_models_modeling()
layers, models, networks = modeling.layers, modeling.models, modeling.networks
SHAPE = dict(
    vocab_size=11,
    hidden_size=8,
    num_layers=2,
    num_attention_heads=2,
    max_sequence_length=6,
    type_vocab_size=2,
    inner_dim=12,
)
INPUTS = dict(
    input_word_ids=tf.constant([[1, 5, 9, 0]]),
    input_mask=tf.constant([[1, 1, 1, 0]]),
    input_type_ids=tf.constant([[0, 1, 1, 0]]),
)


@pytest.fixture(params=[networks.BertEncoder, networks.BertEncoderV2])
def encoder(request):
    keras.utils.set_random_seed(1)
    encoder = request.param(**SHAPE)
    encoder(encoder.inputs)
    for variable in encoder.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape))
    return encoder


def save(path, **objects):
    return tf.train.Checkpoint(**objects).write(str(path / "ckpt"))


def check_encoder(arrays, encoder):
    """The arrays are the encoder's weights, by its layer objects."""
    layer = encoder.transformer_layers[1]
    _, norm, _ = keras_internals.embeddings_of_official_encoder(encoder)
    parts = keras_internals.parts_of_official_layer(layer)
    query = parts["attention/self/query"]
    scope = "bert/encoder/layer_1"
    expected = {
        "bert/embeddings/word_embeddings": encoder.get_embedding_table(),
        "bert/embeddings/LayerNorm/gamma": norm.gamma,
        f"{scope}/attention/self/query/kernel": tf.reshape(query.kernel, [8, 8]),
        f"{scope}/attention/self/query/bias": tf.reshape(query.bias, [8]),
        f"{scope}/intermediate/dense/kernel": parts["intermediate/dense"].kernel,
        f"{scope}/output/LayerNorm/beta": parts["output/LayerNorm"].beta,
        "bert/pooler/dense/kernel": encoder.pooler_layer.kernel,
    }
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def test_google_to_tf_models_to_google_is_bit_exact(tmp_path, config, arrays, same):
    assert tf_models.write(tmp_path / "tfm" / "ckpt", config, arrays) == {}
    found_config, found, _ = tf_models.read(tmp_path / "tfm" / "ckpt")
    google.write_checkpoint(tmp_path / "back", found)
    same(google.read_checkpoint(tmp_path / "back"), arrays)
    assert found_config == config


@pytest.mark.parametrize("name", ["encoder", "model"])
def test_reads_an_encoder_wherever_it_is(tmp_path, encoder, name):
    config, arrays, left = tf_models.read(save(tmp_path, **{name: encoder}))
    check_encoder(arrays, encoder)
    assert left == {}
    assert config.to_dict().items() >= {
        "vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 6, "type_vocab_size": 2,
    }.items()  # fmt: skip


def test_reads_a_classifier_with_its_optimizer(tmp_path, encoder):
    model = models.BertClassifier(encoder, num_classes=3)
    optimizer = keras.optimizers.legacy.Adam()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(
            model(INPUTS if isinstance(model.inputs, dict) else [*INPUTS.values()])
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    _, arrays, left = tf_models.read(save(tmp_path, model=model, optimizer=optimizer))
    check_encoder(arrays, encoder)
    np.testing.assert_array_equal(
        arrays["output_weights"], tf.transpose(model.trainable_weights[-2])
    )
    np.testing.assert_array_equal(arrays["output_bias"], model.trainable_weights[-1])
    assert any("optimizer variables" in name for name in left)


def test_reads_a_pretrainer_whose_head_has_its_own_pooler(tmp_path, encoder):
    head = layers.ClassificationHead(inner_dim=8, num_classes=2, name="next_sentence")
    model = models.BertPretrainerV2(encoder, mlm_activation="gelu", classification_heads=[head])
    model(model.inputs)
    _, arrays, left = tf_models.read(save(tmp_path, model=model, **model.checkpoint_items))
    np.testing.assert_array_equal(arrays["bert/pooler/dense/kernel"], head.dense.kernel)
    np.testing.assert_array_equal(
        arrays["cls/seq_relationship/output_weights"], tf.transpose(head.out_proj.kernel)
    )
    np.testing.assert_array_equal(
        arrays["cls/predictions/transform/dense/kernel"], model.masked_lm.dense.kernel
    )
    assert set(left.values()) == {"the head has its own pooler"}


@pytest.mark.parametrize("difference", [0.0, 1.0])
def test_a_masked_lm_head_with_its_own_decoder(tmp_path, encoder, difference):
    head = tf.Module()
    head.embedding_table = tf.Variable(encoder.get_embedding_table() + difference)
    head.bias = tf.Variable(tf.zeros([SHAPE["vocab_size"]]))
    for name, leaves in (("dense", ("kernel", "bias")), ("layer_norm", ("gamma", "beta"))):
        part = tf.Module()
        for leaf in leaves:
            shape = [SHAPE["hidden_size"]] * (2 if leaf == "kernel" else 1)
            setattr(part, leaf, tf.Variable(tf.ones(shape)))
        setattr(head, name, part)
    save(tmp_path / "ckpt", encoder=encoder, head=head)
    _, found, left = tf_models.read(tmp_path / "ckpt")
    taken = {name for name in found if name.startswith("cls/predictions/")}
    assert len(taken) == (0 if difference else 5)
    untied = [reason for reason in left.values() if reason.startswith("masked-LM head, not taken")]
    assert bool(untied) == bool(difference)


def test_reads_an_old_encoder_saved_by_layer_number(tmp_path):
    encoder = networks.BertEncoder(**SHAPE)
    plain = keras.Model(encoder.inputs, encoder.outputs)  # has no named attributes to follow
    _, arrays, _ = tf_models.read(save(tmp_path, model=plain))
    check_encoder(arrays, encoder)


def test_the_library_restores_what_is_written(tmp_path, config, arrays):
    tf_models.write(tmp_path / "ckpt", config, arrays)
    encoder = networks.BertEncoderV2(
        vocab_size=97, hidden_size=24, num_layers=3, num_attention_heads=4,
        max_sequence_length=20, type_vocab_size=2, inner_dim=40,
    )  # fmt: skip
    model = models.BertClassifier(encoder, num_classes=3)
    status = tf.train.Checkpoint(model=model, encoder=encoder).read(str(tmp_path / "ckpt"))
    status.assert_existing_objects_matched().expect_partial()
    pooled = np.zeros([1, 24], np.float32)
    expected = pooled @ arrays["output_weights"].T + arrays["output_bias"]
    np.testing.assert_allclose(model.classifier(pooled), expected, rtol=1e-6)
    parts = keras_internals.parts_of_official_layer(encoder.transformer_layers[2])
    np.testing.assert_array_equal(
        parts["attention/output/dense"].kernel,
        arrays["bert/encoder/layer_2/attention/output/dense/kernel"].reshape(4, 6, 24),
    )


def test_errors(tmp_path, config, arrays, factorized):
    with pytest.raises(UserError, match="cannot hold a factorised or compact model"):
        tf_models.write(tmp_path / "a", *factorized)
    with pytest.raises(UserError, match="cannot hold a pre-LN model"):
        tf_models.write(tmp_path / "a", config.replace(norm_position="pre"), arrays)
    google.write_checkpoint(tmp_path / "google", arrays)
    with pytest.raises(UserError, match="not an object-based checkpoint"):
        tf_models.read(tmp_path / "google")
    tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "other"))
    with pytest.raises(UserError, match=r"expected one tf-models-official BERT encoder.*found 0"):
        tf_models.read(tmp_path / "other")
    tf_models.write(tmp_path / "ckpt", config, arrays)
    with pytest.raises(UserError, match=r"\[97, 24\], but the configuration says \[100, 24\]"):
        tf_models.read(tmp_path / "ckpt", config.replace(vocab_size=100))
    with pytest.raises(UserError, match=r"kernels have 4 attention heads.*says 2"):
        tf_models.read(tmp_path / "ckpt", config.replace(num_attention_heads=2))
    del arrays["bert/pooler/dense/kernel"], arrays["bert/pooler/dense/bias"]
    with pytest.raises(UserError, match="has no pooler"):
        tf_models.write(tmp_path / "b", config, arrays)


@pytest.mark.slow
def test_minilm_round_trip(minilm, tmp_path, same):
    config, arrays, _ = huggingface.read(minilm)
    assert tf_models.write(tmp_path / "ckpt", config, arrays) == {}
    found_config, found, _ = tf_models.read(tmp_path / "ckpt", config)
    same(found, arrays)
    assert found_config == config
