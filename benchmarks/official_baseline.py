"""The control: tf-models-official's own BertClassifier and optimizer, with the weights of ours."""

import tensorflow as tf
import tf_keras as keras
from official.nlp import optimization

from bert_tf.checkpoints import tf_models_objects


def build_classifier(config, arrays):
    """Builds official's BertClassifier on its BertEncoderV2, filled with the arrays.

    Args:
      config: `BertConfig`, post-LN and dense.
      arrays: {Google variable name: array}, with `output_weights` [labels, hidden] and
        `output_bias`.

    Returns:
      Keras model of the three int32 inputs [batch, seq], giving logits [batch, labels].

    Raises:
      ValueError: an array has no place in the model.
    """
    objects, placed = tf_models_objects.build(config, arrays)
    if placed != set(arrays):
        raise ValueError(f"no place in official's model for {sorted(set(arrays) - placed)}")
    return objects["model"]


def compile_classifier(model, train_steps, jit_compile=False):
    """Compiles with official's optimizer as BERT is fine-tuned with it.

    That is AdamWeightDecay 0.01, LayerNorm and bias excluded, gradients clipped to norm 1, and
    linear decay from 5e-5 after a warm-up of a tenth of `train_steps` updates.
    """

    def loss(labels, logits):
        logits = tf.cast(logits, tf.float32)
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    optimizer = optimization.create_optimizer(5e-5, train_steps, train_steps // 10)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=jit_compile)
