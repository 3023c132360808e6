"""The control: tf-models-official's own models and optimizer, with the weights of ours."""

import tensorflow as tf
import tf_keras as keras
from official.nlp import optimization
from official.nlp.data import pretrain_dataloader
from official.nlp.tasks import masked_lm

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


def build_pretrainer(config, arrays):
    """Builds what official's masked-LM training is made of, without the next-sentence loss.

    Args:
      config: `BertConfig`, post-LN and dense.
      arrays: {Google variable name: array} of encoder and masked-LM head.

    Returns:
      (MaskedLMTask, its BertPretrainerV2 filled with the arrays, AdamWeightDecay optimizer).

    Raises:
      ValueError: an array has no place in the model.
    """
    objects, placed = tf_models_objects.build(config, arrays)
    if placed != set(arrays):
        raise ValueError(f"no place in official's model for {sorted(set(arrays) - placed)}")
    task = masked_lm.MaskedLMTask(masked_lm.MaskedLMConfig(train_data=_records_config()))
    return task, objects["model"], optimization.create_optimizer(1e-4, 100_000, 10_000)


def records_dataset(task, path, batch_size, seq_length, predictions):
    """Returns the batches of a file of Google's TFRecords, read by official's own loader."""
    config = _records_config(
        input_path=path,
        global_batch_size=batch_size,
        seq_length=seq_length,
        max_predictions_per_seq=predictions,
    )
    return task.build_inputs(config)


def _records_config(**values):
    return pretrain_dataloader.BertPretrainDataConfig(
        is_training=True, use_next_sentence_label=False, **values
    )
