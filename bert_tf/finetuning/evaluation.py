"""Evaluation and prediction: over all examples, in batches of similar length."""

import dataclasses
import time
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from bert_tf.data.batching import eval_plan
from bert_tf.data.pipeline import make_dataset
from bert_tf.errors import UserError

_MEASURED_BATCHES = 8


class BatchEvaluator:
    """Runs a model over feature stores; keeps one traced function for all of them.

    A subclass says what an output is of (`count`, `place`) and what is measured on them
    (`evaluate`).

    Args:
      model: `TaskModel`.
      batch_size: examples per batch.
      pad_to: pad every batch to this length; None pads to its longest example.
      pad_multiple: round that length up to a multiple of this.
      forward: more arguments of `model.forward`, such as a width; None evaluates what `call` runs.
    """

    what = "examples"

    def __init__(self, model, batch_size=32, pad_to=None, pad_multiple=1, forward=None):
        self.model = model
        self.batch_size = batch_size
        self.pad_to = pad_to
        self.pad_multiple = pad_multiple
        self.seconds = 0.0
        ids = tf.TensorSpec([None, None], tf.int32)
        names = ("input_word_ids", "input_mask", "input_type_ids")
        forward = model.subnetwork.forward if forward is None else forward
        self._logits = tf.function(  # traced once, for every batch size and length
            lambda inputs: model.forward(inputs, training=False, **forward)[0],
            input_signature=[dict.fromkeys(names, ids)],
        )

    def count(self, store):
        """Returns how many rows of outputs the store has: as many as examples."""
        return len(store)

    def place(self, outputs, store, ids, found):
        """Writes the outputs of a batch to their rows.

        Args:
          outputs: float32 [`count`, num_outputs], to be written to.
          store: `FeatureStore`.
          ids: int [batch], the examples of the batch.
          found: float32, the model's logits of the batch.
        """
        outputs[ids] = found

    def evaluate(self, store, task):
        """Returns {metric: float}: the task's metrics and `loss`, the mean over all labels."""
        raise NotImplementedError

    def logits(self, store):
        """Returns float32 [n, num_outputs], in the store's order.

        Raises:
          UserError: an output is not finite.
        """
        started = time.monotonic()
        plan = eval_plan(store.lengths, self.batch_size)
        outputs = np.zeros([self.count(store), self.model.classifier.num_outputs], np.float32)
        dataset = make_dataset(store, plan, pad_to=self.pad_to, pad_multiple=self.pad_multiple)
        for step, (inputs, _) in enumerate(dataset):
            self.place(outputs, store, plan.ids(step), self._logits(inputs).numpy())
        self.seconds += time.monotonic() - started
        broken = ~np.isfinite(outputs).all(-1)
        if broken.any():
            raise UserError(
                f"the model's outputs for {broken.sum()} of {len(outputs)} {self.what} are not"
                f" finite, the first is {self.what[:-1]} {broken.argmax() + 1}: its weights are of"
                " no use, or --precision is too low for them"
            )
        return outputs

    def measure(self, store):
        """Returns the seconds that `logits` of the store will take, from some of its batches."""
        plan = eval_plan(store.lengths, self.batch_size)
        batches = [plan.ids(step) for step in range(plan.steps)]
        lengths = [store.padded_length(ids, self.pad_to, self.pad_multiple) for ids in batches]
        tokens = [len(ids) * length for ids, length in zip(batches, lengths, strict=True)]
        some = np.unique(np.linspace(0, plan.steps - 1, _MEASURED_BATCHES).astype(int))

        def run(step):
            inputs, _ = store.batch(batches[step], pad_to=lengths[step])
            self._logits({name: tf.constant(x) for name, x in inputs.items()}).numpy()

        run(0)  # which traces
        started = time.monotonic()
        for step in some:
            run(step)
        seconds = time.monotonic() - started
        return seconds * sum(tokens) / sum(tokens[step] for step in some)


class TaskEvaluation:
    """Evaluates a model on the splits of a task, as `loop.train_and_evaluate` asks for it.

    A subclass names its `BatchEvaluator` as `evaluator`.

    Args:
      model: `TaskModel`.
      task: `Task`; the first of its metrics on the first store decides what is best.
      stores: {split: FeatureStore}, in the task's order.
      batch_size: examples per batch.
      views: {name: arguments of `model.forward`} of the models to evaluate in place of the whole
        one: each metric is then their mean, `mean_accuracy`, beside each one's, `accuracy_NAME`;
        `loss` is the mean, too.
      pad_to: see `BatchEvaluator`.
    """

    evaluator: Any = None
    higher_is_better = True

    def __init__(self, model, task, stores, batch_size, views=None, pad_to=None):
        self.task = task
        self.stores = stores
        self.metric = f"mean_{task.metrics[0]}" if views else task.metrics[0]
        self._evaluators = {
            name: self.evaluator(model, batch_size, pad_to, forward=forward)
            for name, forward in (views or {"": None}).items()
        }

    @property
    def seconds(self):
        """Seconds spent so far."""
        return sum(one.seconds for one in self._evaluators.values())

    def measure(self):
        """Returns the seconds that an evaluation will take."""
        return sum(
            one.measure(store)
            for one in self._evaluators.values()
            for store in self.stores.values()
        )

    def evaluate(self):
        """Returns {split: {metric: float}}.

        Raises:
          UserError: outputs or metrics are not finite; the message names the split.
        """
        metrics = {}
        for split, store in self.stores.items():
            try:
                found = {n: e.evaluate(store, self.task) for n, e in self._evaluators.items()}
            except UserError as e:
                raise UserError(f"{split}: {e}") from e
            metrics[split] = found.get("") or _with_means(found)
        return metrics


def _with_means(found):
    """{metric: float} of {view: {metric: float}}: the means of all views, then each one's."""
    names = next(iter(found.values()))
    means = {
        n if n == "loss" else f"mean_{n}": float(np.mean([m[n] for m in found.values()]))
        for n in names
    }
    return {**means, **{f"{n}_{view}": m[n] for view, m in found.items() for n in names}}


@dataclasses.dataclass
class EvalSpec:
    """What to evaluate on: the splits of a task.

    A subclass names its `TaskEvaluation` as `evaluation`.

    Attributes:
      task, stores, batch_size, views, pad_to: see `TaskEvaluation`.
    """

    evaluation: ClassVar[Any] = None

    task: Any
    stores: dict
    batch_size: int = 32
    views: dict | None = None
    pad_to: int | None = None

    def build(self, model):
        """Returns what evaluates `model`; it keeps its traced function."""
        return self.evaluation(
            model, self.task, self.stores, self.batch_size, self.views, self.pad_to
        )
