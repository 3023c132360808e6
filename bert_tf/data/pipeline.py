"""The batches of a plan as a tf.data.Dataset."""

import numpy as np
import tensorflow as tf


def make_dataset(
    store,
    plan,
    *,
    start_step=0,
    shard_index=0,
    shard_count=1,
    pad_to=None,
    pad_multiple=1,
    activations=None,
    prefetch=4,
):
    """Returns a dataset of the plan's batches from `start_step` to its end.

    Each of the shards gets every `shard_count`-th example of every batch; all are padded to the
    whole batch's length. A batch of fewer examples than shards leaves some shards' empty ([0, t]).

    Args:
      store: `FeatureStore`.
      plan: `BatchPlan` or `EndlessPlan` over it.
      start_step: first batch, which is how a run is resumed.
      shard_index, shard_count: this worker's number, and how many there are.
      pad_to: length to pad to; None takes each batch's longest example.
      pad_multiple: that length is rounded up to a multiple of this.
      activations: callable (ids, inputs) -> float [b, t, hidden], the states that a frozen prefix
        of the model gives for the batch, with attributes `dtype` and `hidden_size`; None for none.
      prefetch: batches prepared ahead.

    Returns:
      `tf.data.Dataset` of ({"input_word_ids", "input_mask", "input_type_ids"}: int32 [b, t],
      labels [b, ...]): int32 classes or float32 scores, as the store has them; -1 where it has
      none. With `activations` the inputs have "hidden" besides.
    """
    dtype = np.int32 if store.labels is None else store.labels.dtype

    def batch(step):
        ids = plan.ids(int(step))
        length = store.padded_length(ids, pad_to, pad_multiple)
        ids = ids[shard_index::shard_count]
        inputs, labels = store.batch(ids, pad_to=length)
        if labels is None:
            labels = np.full(len(inputs["input_mask"]), -1, np.int32)
        if activations:
            inputs["hidden"] = activations(ids, inputs)
        return *(inputs[name] for name in names), labels

    names = ["input_word_ids", "input_mask", "input_type_ids"]
    types = [tf.int32] * 3
    if activations:
        names.append("hidden")
        types.append(activations.dtype)

    def tensors(step):
        *inputs, labels = tf.numpy_function(batch, [step], [*types, dtype])
        for tensor in inputs[:3]:
            tensor.set_shape([None, None])
        if activations:
            inputs[3].set_shape([None, None, activations.hidden_size])
        labels.set_shape(store.label_shape)
        return dict(zip(names, inputs, strict=True)), labels

    end = tf.int64.max if plan.steps is None else plan.steps
    batches = tf.data.Dataset.range(start_step, end).map(tensors).prefetch(prefetch)
    return without_tuner(batches)


def without_tuner(dataset):
    """Returns the same dataset without tf.data's tuner.

    Nothing here is left to it, and the end of an iterator would wait for its next turn: seconds
    after a few batches, up to a minute after many (TensorFlow 2.20).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
