"""Evaluation and prediction: over all examples, in batches of similar length."""

import dataclasses
import time
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf import files
from bert_tf.data.batching import eval_plan
from bert_tf.data.pipeline import make_dataset
from bert_tf.errors import UserError
from bert_tf.training.results import PREDICTIONS

_MEASURED_BATCHES = 8


class Evaluator:
    """Runs a classifier over feature stores; keeps one traced function for all of them.

    Args:
      model: `SequenceClassifier`.
      batch_size: examples per batch.
      pad_to: pad every batch to this length; None pads to its longest example.
      pad_multiple: round that length up to a multiple of this.
      forward: more arguments of `model.forward`, such as a width; None evaluates what `call` runs.
    """

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

    def logits(self, store):
        """Returns float32 [n, num_outputs], in the store's order.

        Raises:
          UserError: an output is not finite.
        """
        started = time.monotonic()
        plan = eval_plan(store.lengths, self.batch_size)
        outputs = np.zeros([len(store), self.model.classifier.num_outputs], np.float32)
        dataset = make_dataset(store, plan, pad_to=self.pad_to, pad_multiple=self.pad_multiple)
        for step, (inputs, _) in enumerate(dataset):
            outputs[plan.ids(step)] = self._logits(inputs).numpy()
        self.seconds += time.monotonic() - started
        broken = ~np.isfinite(outputs).all(-1)
        if broken.any():
            raise UserError(
                f"the model's outputs for {broken.sum()} of {len(store)} examples are not finite,"
                f" the first is example {broken.argmax() + 1}: its weights are of no use, or"
                " --precision is too low for them"
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

    def evaluate(self, store, task):
        """Returns {metric: float}: the task's metrics and `loss`, the mean over all examples.

        Metrics come from all gathered predictions at once (never averaged over batches), under
        scikit-learn's names: accuracy, f1, precision, recall, matthews_corrcoef, pearson, spearman.
        """
        from bert_tf.data.metrics import compute_metrics  # scikit-learn: seconds of a short budget

        logits = self.logits(store)
        losses = self.model.example_losses(store.labels, logits).numpy()
        metrics = compute_metrics(task, store.labels, predictions(logits, task))
        return {**metrics, "loss": float(np.mean(losses, dtype=np.float64))}


class TaskEvaluation:
    """Evaluates a classifier on the splits of a task, as `loop.train_and_evaluate` asks for it.

    Args:
      model: `SequenceClassifier`.
      task: `Task`; the first of its metrics on the first store decides what is best.
      stores: {split: FeatureStore}, in the task's order.
      batch_size: examples per batch.
      views: {name: arguments of `model.forward`} of the models to evaluate in place of the whole
        one: each metric is then their mean, `mean_accuracy`, beside each one's, `accuracy_NAME`;
        `loss` is the mean, too.
      pad_to: see `Evaluator`.
    """

    higher_is_better = True

    def __init__(self, model, task, stores, batch_size, views=None, pad_to=None):
        self.task = task
        self.stores = stores
        self.metric = f"mean_{task.metrics[0]}" if views else task.metrics[0]
        self._evaluators = {
            name: Evaluator(model, batch_size, pad_to, forward=forward)
            for name, forward in (views or {"": None}).items()
        }

    @property
    def seconds(self):
        """Seconds spent so far."""
        return sum(one.seconds for one in self._evaluators.values())

    def measure(self):
        """Returns the seconds that an evaluation will take."""
        from bert_tf.data import metrics  # noqa: F401 - its import is no part of the first one

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

    Attributes:
      task, stores, batch_size, views, pad_to: see `TaskEvaluation`, which another kind of data
        replaces.
    """

    task: Any
    stores: dict
    batch_size: int = 32
    views: dict | None = None
    pad_to: int | None = None

    def build(self, model):
        """Returns what evaluates `model`; it keeps its traced function."""
        return TaskEvaluation(
            model, self.task, self.stores, self.batch_size, self.views, self.pad_to
        )


def predictions(logits, task):
    """Predicted label indices int64 [n], or scores float32 [n] for a regression task."""
    return logits[:, 0] if task.labels is None else logits.argmax(-1)


def remove_predictions(output_dir):
    """Removes all that `write_predictions` wrote: those of two models must not stand together."""
    for path in output_dir.glob(PREDICTIONS):
        path.unlink()


def write_predictions(output_dir, logits, task, split="test", first=True, numbers=None):
    """Writes `test_results.tsv` and `test_results_labels.tsv`, a line for each example.

    The first has the tab-separated class probabilities in the order of the task's labels (Google's
    form), or the score. The second has a header: `index`, `prediction` (the label's name, or the
    score), `line`; cells with a tab, a quote or a line end are quoted as in a CSV file. Splits
    after the first carry their name in the files'.

    Args:
      output_dir: folder.
      logits: float32 [n, outputs].
      task: `Task`.
      split: name of the split.
      first: whether it is the first.
      numbers: `RowNumbers` of the examples; None numbers them from 0 and leaves the lines out.
    """
    suffix = "" if first else f"_{split}"
    if task.labels is None:
        rows = names = [f"{score:.7g}" for score in logits[:, 0]]
    else:
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float64)).numpy()
        rows = ["\t".join(f"{p:.8g}" for p in row) for row in probabilities]
        names = [str(task.labels[i]) for i in predictions(logits, task)]
    header, columns = ["index", "prediction"], [range(len(names)), names]
    if numbers is not None:
        header, columns = [*header, "line"], [numbers.ids, names, numbers.lines]
    lines = map(files.table_row, [header, *zip(*columns, strict=True)])
    files.write_text(output_dir / f"test_results{suffix}.tsv", "".join(row + "\n" for row in rows))
    files.write_text(output_dir / f"test_results_labels{suffix}.tsv", "".join(lines))
