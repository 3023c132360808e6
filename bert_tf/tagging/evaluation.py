"""Evaluation and prediction of taggers: a row of outputs for each word."""

import dataclasses
from typing import ClassVar

import numpy as np

from bert_tf import files
from bert_tf.finetuning import evaluation
from bert_tf.heads import example_losses
from bert_tf.tagging import metrics
from bert_tf.training.results import TAGS


class TagEvaluator(evaluation.BatchEvaluator):
    """Runs a `TokenClassifier` over `TaggedStore`s, see `BatchEvaluator`."""

    what = "words"

    def count(self, store):
        return store.num_words

    def place(self, outputs, store, ids, found):
        mask = np.arange(found.shape[1]) < store.lengths[ids, None]
        words = store.batch_words(ids, mask)
        outputs[words[words >= 0]] = found[words >= 0]

    def evaluate(self, store, task):
        """Returns {metric: float}, see `metrics.compute`, and `loss`, the mean over all words."""
        logits = self.logits(store)
        losses = example_losses(store.word_labels, logits).numpy()
        found = metrics.compute(task, store.sentences, store.word_labels, logits.argmax(-1))
        return {**found, "loss": float(np.mean(losses, dtype=np.float64))}


class TaskEvaluation(evaluation.TaskEvaluation):
    """Evaluates a `TokenClassifier`, see the base."""

    evaluator = TagEvaluator


@dataclasses.dataclass
class EvalSpec(evaluation.EvalSpec):
    """What to evaluate a `TokenClassifier` on, see the base."""

    evaluation: ClassVar = TaskEvaluation


def write_predictions(output_dir, file, logits, task):
    """Writes `test_results.conll`: the file as it was read, with a column of predicted labels.

    Args:
      output_dir: folder.
      file: `ConllFile`.
      logits: float32 [words, labels].
      task: `TaggingTask`.
    """
    labels = [task.labels[i] for i in logits.argmax(-1)]
    files.write_text(output_dir / TAGS, file.with_predictions(labels))
