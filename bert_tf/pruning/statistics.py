"""What a task's data say about each encoder kernel: one streaming pass, bounded memory."""

import collections
import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf.checkpoints import names
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.data.batching import train_plan
from bert_tf.data.pipeline import make_dataset
from bert_tf.encoder import BertEncoder, Dense
from bert_tf.errors import UserError
from bert_tf.heads import ClassifierHead, example_losses
from flop.decomposition import Statistics

TOKEN_BUDGET = 4096
"""Padded tokens per batch."""

_Record = collections.namedtuple("_Record", "scope inputs outputs")
_COVARIANCE, _GRADIENT, _FISHER = "covariance", "gradient", "fisher"
_NEEDS = {
    "whitened": {_COVARIANCE},
    "two_sided": {_COVARIANCE, _GRADIENT},
    "fisher": {_FISHER},
}


def collect(config, arrays, store, method="two_sided", labels=None, examples=1280, seed=42):
    """Runs examples through a dense model and sums up what its kernels see.

    There is no dropout, and padding is left out. Gradients are those of each example's own loss.
    With a classifier the last layer computes the first token only, as in use: four of its kernels
    then see one token per example, which their `share` says.

    Args:
      config: `BertConfig` of a dense model.
      arrays: {Google name: array}, with the classifier unless `labels` is None.
      store: `FeatureStore`; with its labels unless `labels` is None.
      method: `whitened`, `two_sided` or `fisher`; only what it needs is collected.
      labels: number of labels of the classifier, 1 for regression; None runs the encoder alone on
        all tokens, which only `whitened` can use.
      examples: how many of the store to use, drawn at random; all if it has fewer.
      seed: of the draw.

    Returns:
      {scope: `flop.decomposition.Statistics`} of every scope in `names.dense_scopes`.

    Raises:
      UserError: the arrays lack the classifier, or it has another number of labels, or what a
        kernel sees is not finite.
    """
    if labels is None and method != "whitened":
        raise ValueError(f"method {method!r} needs the gradients of a labelled task")
    needs = _NEEDS[method]
    recorder = _Recorder()
    forward, variables = _build(config, recorder, labels, store)
    report = assign_arrays(variables, arrays, "the model to factorise")
    if labels is not None and "output_weights" not in report.loaded:
        raise UserError(f"the model to factorise has no classifier with {labels} outputs")
    sums = {
        scope: _Sums(d_in, d_out, needs)
        for scope, (d_in, d_out) in names.dense_scopes(config).items()
    }
    plan = train_plan(
        store.lengths,
        token_budget=max(TOKEN_BUDGET, int(store.lengths.max())),
        epochs=min(1.0, examples / len(store)),
        seed=seed,
    )
    _run(forward, recorder, sums, make_dataset(store, plan), plan, needs)
    # Each kernel's sums are freed once read: they are the bulk of the memory.
    return {scope: _finite(scope, sums.pop(scope).statistics(plan.tokens)) for scope in list(sums)}


def _finite(scope, statistics):
    """The `Statistics`, or `UserError` where they are of no use."""
    for field in dataclasses.fields(statistics):
        value = getattr(statistics, field.name)
        if value is not None and not np.isfinite(value).all():
            raise UserError(
                f"statistics of {scope}: {field.name} is not finite: the model overflows on these"
                " rows, so they cannot say what to cut: give other rows, or --method=svd"
            )
    return statistics


def _build(config, recorder, labels, store):
    """Returns (function (inputs, labels) -> example losses or None, the model's variables)."""
    encoder = BertEncoder(config, dense_factory=recorder.dense)
    if labels is None:

        def forward(inputs, _):
            hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
            encoder.transform(hidden, inputs["input_mask"])

        return forward, encoder.trainable_variables
    regression = np.issubdtype(store.labels.dtype, np.floating)
    head = ClassifierHead(labels, config.hidden_size)

    def losses(inputs, targets):
        hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
        sequence, _ = encoder.transform(hidden, inputs["input_mask"], first_token_only=True)
        return example_losses(targets, head(encoder.pool(sequence)), regression)

    return losses, encoder.trainable_variables + head.trainable_variables


def _run(forward, recorder, sums, dataset, plan, needs):
    with_gradients = bool(needs & {_GRADIENT, _FISHER})

    @tf.function(input_signature=dataset.element_spec)
    def add_batch(inputs, labels):
        recorder.records.clear()
        with tf.GradientTape() as tape:
            losses = forward(inputs, labels)
        outputs = [record.outputs for record in recorder.records]
        # Of the losses' sum: the rows of different examples stay their own.
        gradients = tape.gradient(losses, outputs) if with_gradients else [None] * len(outputs)
        for record, gradient in zip(recorder.records, gradients, strict=True):
            mask = inputs["input_mask"]
            sums[record.scope].add(*_by_example(mask, record.inputs, gradient), mask)

    for step, (inputs, labels) in enumerate(dataset):
        add_batch(inputs, labels)
        if 10 * (step + 1) // plan.steps > 10 * step // plan.steps:
            logging.info("statistics: %d of %d batches", step + 1, plan.steps)


def _by_example(mask, *rows):
    """The rows [B * Q, units] that a kernel takes and gives, or None, as [B, Q, units]."""
    batch = tf.shape(mask)[0]
    return [x if x is None else tf.reshape(x, [batch, -1, x.shape[-1]]) for x in rows]


class _Recorder:
    """A factory of dense layers that note down their inputs and outputs, in calling order."""

    def __init__(self):
        self.records = []

    def dense(self, *args, **kwargs):
        return _RecordingDense(self.records, *args, **kwargs)


class _RecordingDense(Dense):
    def __init__(self, records, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._note = records.append  # Keras would copy a list kept as an attribute

    def call(self, inputs, in_units=None, out_units=None):
        outputs = super().call(inputs, in_units, out_units)
        self._note(_Record(self.scope, inputs, outputs))
        return outputs


class _Sums:
    """Running sums of one kernel, in double precision: the mean is subtracted from them later."""

    def __init__(self, d_in, d_out, needs):
        def zeros(shape):
            return tf.Variable(tf.zeros(shape, tf.float64), trainable=False)

        self.tokens = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.examples = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.inputs = zeros([d_in]) if _COVARIANCE in needs else None
        self.moment = zeros([d_in, d_in]) if _COVARIANCE in needs else None
        self.gradient = zeros([d_out, d_out]) if _GRADIENT in needs else None
        self.fisher = zeros([d_in]) if _FISHER in needs else None

    def add(self, inputs, gradient, mask):
        """Adds inputs [B, Q, d_in] and gradient [B, Q, d_out]: the first Q of mask's T tokens."""
        mask = tf.cast(mask[:, : tf.shape(inputs)[1]], tf.bool)
        x = tf.boolean_mask(inputs, mask)
        self.tokens.assign_add(tf.shape(x, out_type=tf.int64)[0])
        self.examples.assign_add(tf.shape(mask, out_type=tf.int64)[0])
        if self.moment is not None:
            self.inputs.assign_add(tf.cast(tf.reduce_sum(x, 0), tf.float64))
            self.moment.assign_add(tf.cast(tf.matmul(x, x, transpose_a=True), tf.float64))
        if self.gradient is not None:
            g = tf.boolean_mask(gradient, mask)
            self.gradient.assign_add(tf.cast(tf.matmul(g, g, transpose_a=True), tf.float64))
        if self.fisher is not None:
            self.fisher.assign_add(tf.cast(_row_fisher(inputs, gradient, mask), tf.float64))

    def statistics(self, all_tokens):
        """Returns the `Statistics`, matrices as float32."""
        tokens = int(self.tokens.numpy())
        examples = int(self.examples.numpy())
        found = {"tokens": tokens, "examples": examples, "share": tokens / all_tokens}
        if self.moment is not None:
            mean = self.inputs.numpy() / tokens
            covariance = self.moment.numpy() / tokens - np.outer(mean, mean)
            found |= {"mean": mean, "covariance": covariance.astype(np.float32)}
        if self.gradient is not None:
            found["gradient_moment"] = (self.gradient.numpy() / tokens).astype(np.float32)
        if self.fisher is not None:
            found["row_fisher"] = self.fisher.numpy() / examples
        return Statistics(**found)


def _row_fisher(x, g, mask):
    """Sum over examples of the squared norm of each row of the kernel's gradient x'g: [d_in].

    Row i's is sum over tokens t, u of x_ti x_ui (g_t . g_u), which needs no example's own gradient
    [d_in, d_out].
    """
    g *= tf.cast(mask, g.dtype)[:, :, None]
    products = tf.matmul(g, g, transpose_b=True)  # [B, Q, Q]
    return tf.reduce_sum(x * tf.matmul(products, x), [0, 1])
