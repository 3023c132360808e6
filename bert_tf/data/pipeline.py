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
    prefetch=4,
):
    """Returns a dataset of the plan's batches from `start_step` to its end.

    Each of the shards gets every `shard_count`-th example of every batch; all are padded to the
    whole batch's length. A batch of fewer examples than shards leaves some shards' empty ([0, t]).

    Args:
      store: `FeatureStore`.
      plan: `BatchPlan` over it.
      start_step: first batch, which is how a run is resumed.
      shard_index, shard_count: this worker's number, and how many there are.
      pad_to: length to pad to; None takes each batch's longest example.
      pad_multiple: that length is rounded up to a multiple of this.
      prefetch: batches prepared ahead.

    Returns:
      `tf.data.Dataset` of ({"input_word_ids", "input_mask", "input_type_ids"}: int32 [b, t],
      labels [b]): int32 classes or float32 scores; -1 where the store has none.
    """
    dtype = np.int32 if store.labels is None else store.labels.dtype

    def batch(step):
        ids = plan.ids(int(step))
        length = store.padded_length(ids, pad_to, pad_multiple)
        inputs, labels = store.batch(ids[shard_index::shard_count], pad_to=length)
        if labels is None:
            labels = np.full(len(inputs["input_mask"]), -1, np.int32)
        return inputs["input_word_ids"], inputs["input_mask"], inputs["input_type_ids"], labels

    def tensors(step):
        *inputs, labels = tf.numpy_function(batch, [step], [tf.int32] * 3 + [dtype])
        for tensor in inputs:
            tensor.set_shape([None, None])
        labels.set_shape([None])
        names = ("input_word_ids", "input_mask", "input_type_ids")
        return dict(zip(names, inputs, strict=True)), labels

    return tf.data.Dataset.range(start_step, plan.steps).map(tensors).prefetch(prefetch)
