"""The sub-networks of an elastic classifier side by side: what choose_subnetwork.py runs."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf.checkpoints import head_matching
from bert_tf.checkpoints.model_folder import LoadedModel, require_pooler
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.classification.evaluation import Evaluator
from bert_tf.classification.model import SequenceClassifier, build_classifier
from bert_tf.data import inputs, rows
from bert_tf.dynabert import latency, report
from bert_tf.dynabert.costs import size_of
from bert_tf.dynabert.export import export
from bert_tf.encoder import Subnetwork
from bert_tf.errors import UserError

WIDTHS, DEPTHS = (1.0, 0.75, 0.5, 0.25), (1.0, 0.75, 0.5)
"""The grid of a model that does not say what it was trained to."""


@dataclasses.dataclass
class Elastic:
    """A model whose sub-networks are compared, and the rows that they are compared on.

    Attributes:
      source: `LoadedModel`, its head in the order of the task's labels.
      task: `Task`.
      dev: {split: `FeatureStore`}.
      train: `FeatureStore` of training rows, None if they are not needed.
      model: `SequenceClassifier` with the weights of `source`.
    """

    source: LoadedModel
    task: Any
    dev: dict
    train: Any
    model: SequenceClassifier

    @classmethod
    def read(cls, source, flags, output_dir, *, train, max_seq_length=None):
        """Returns the `Elastic` of a model with its rows.

        Args:
          source: `LoadedModel` of a classifier.
          flags: {name: value} of `InputOptions` that say which task and where its files are.
          output_dir: for tokenised features, which a later call finds (`pathlib.Path`).
          train: whether training rows are read, too.
          max_seq_length: rows are cut to this many tokens; as the model was fine-tuned, else 128.

        Raises:
          UserError: no such task or files, or the model has no classifier for it.
        """
        options = rows.options_of(source, flags, max_seq_length, do_train=train, do_eval=True)
        task = inputs.task_of(options, source)
        source = head_matching.matched(source, task, numbers_agree=True)
        head_matching.require(source, task, "give a model fine-tuned on it")
        require_pooler(source)
        data = inputs.build(options, source, task, output_dir)
        model = classifier(source.config, source.arrays, task)
        return cls(source, task, data.dev, data.train, model)

    def sample_dev(self, count, seed):
        """Keeps `count` dev rows of each split, see `sample`."""
        self.dev = {split: sample(store, count, seed) for split, store in self.dev.items()}

    def metrics(self, subnetwork, batch_size):
        """Returns {split: {metric: value}} of a `Subnetwork` on the dev rows.

        Raises:
          UserError: its outputs are not finite; the message names it.
        """
        evaluator = Evaluator(self.model, batch_size, forward=subnetwork.forward)
        try:
            return {split: evaluator.evaluate(x, self.task) for split, x in self.dev.items()}
        except UserError as e:
            raise UserError(f"{subnetwork.name}: {e}") from e

    def small(self, subnetwork, shape):
        """Returns a callable that runs the sub-network as a model of its own, built for this.

        Args:
          subnetwork: `Subnetwork`.
          shape: (batch, length) of the inputs, random tokens without padding.
        """
        config, arrays = export(self.source.config, self.source.arrays, subnetwork)
        model = classifier(config, arrays, self.task)
        ids = np.random.default_rng(0).integers(config.vocab_size, size=shape).astype(np.int32)
        tensors = {
            "input_word_ids": tf.constant(ids),
            "input_mask": tf.ones(shape, tf.int32),
            "input_type_ids": tf.zeros(shape, tf.int32),
        }
        function = tf.function(lambda inputs: model.forward(inputs, training=False)[0])
        function = function.get_concrete_function(tensors)
        return lambda: function(tensors).numpy()


def classifier(config, arrays, task):
    """Returns the `SequenceClassifier` of a task with these weights.

    Args:
      config, arrays: `BertConfig` and {Google name: array}, those of a head included.
      task: `Task`.
    """
    model = build_classifier(config, arrays, task)
    assign_arrays(model.model_weights, arrays, "the model")
    return model


def sample(store, count, seed):
    """Returns `count` rows of a `FeatureStore`, drawn at random; all if there are no more."""
    if count is None or count >= len(store):
        return store
    drawn = np.random.default_rng(seed).permutation(len(store))[:count]
    return store.taken(np.sort(drawn))


def grid(config, widths, depths, rule):
    """Returns [`Subnetwork`] of each width and depth, the whole model first.

    Raises:
      UserError: one would have no head or no layer.
    """
    whole = Subnetwork.of(config, rule=rule)
    cells = [Subnetwork.of(config, width, depth, rule) for depth in depths for width in widths]
    return [whole, *(cell for cell in cells if cell.name != whole.name)]


def latencies(elastic, parts, shape, rounds):
    """Measures sub-networks as models of their own, in turn; all are in memory at once.

    Args:
      elastic: `Elastic`.
      parts: list of `Subnetwork`, the whole model first.
      shape: (batch, length) of the inputs.
      rounds: how often each is timed; 0 measures nothing.

    Returns:
      {name: `report.Latency`}, empty without rounds.
    """
    if not rounds:
        return {}
    logging.info("latency: %d models, %d rounds", len(parts), rounds)
    calls = {part.name: elastic.small(part, shape) for part in parts}
    taken = {name: 1e3 * seconds for name, seconds in latency.interleaved(calls, rounds).items()}
    whole = taken[parts[0].name]
    return {
        name: report.Latency(
            median=float(np.median(ms)),
            p95=float(np.percentile(ms, 95)),
            of_whole=float(np.median(ms / whole)),
        )
        for name, ms in taken.items()
    }


def measured(elastic, kinds, batch_size, shape, rounds):
    """Returns the `Report` of sub-networks: evaluated on the dev rows, counted and timed.

    Args:
      elastic: `Elastic`.
      kinds: [(`Subnetwork`, kind of `report.Row`)], the whole model first.
      batch_size: rows per batch of the evaluation.
      shape, rounds: see `latencies`.
    """
    times = latencies(elastic, [part for part, _ in kinds], shape, rounds)
    found = []
    for part, kind in kinds:
        metrics = elastic.metrics(part, batch_size)
        size = size_of(elastic.source.config, elastic.source.arrays, part, shape[1])
        found.append(report.Row(part, kind, metrics, size, times.get(part.name)))
        value = found[-1].value(elastic.task.metrics[0])
        logging.info("%s: %s %.4f", part.name, elastic.task.metrics[0], value)
    return report.Report(elastic.task.metrics[0], found)
