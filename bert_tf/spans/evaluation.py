"""Evaluation and prediction of span models: from windows to answers, metrics and Google's files."""

import dataclasses
import json
from typing import ClassVar

import numpy as np

from bert_tf import files
from bert_tf.finetuning import evaluation
from bert_tf.spans import metrics
from bert_tf.spans.decoding import decode, probabilities

PREDICTIONS, N_BEST, NULL_ODDS = "predictions.json", "nbest_predictions.json", "null_odds.json"


class SpanEvaluator(evaluation.BatchEvaluator):
    """Runs a `SpanModel` over `WindowStore`s, see `BatchEvaluator`; its rows are the tokens."""

    what = "tokens"

    def count(self, store):
        return int(store.offsets[-1])

    def place(self, outputs, store, ids, found):
        for row, i in enumerate(ids):
            start, end = store.offsets[i], store.offsets[i + 1]
            outputs[start:end] = found[row, : end - start]

    def evaluate(self, store, task):
        """Returns {metric: float}: SQuAD's, shares of 1, and `loss`, the mean over all windows.

        See `metrics.squad_metrics`; of SQuAD 2.0 also what the best threshold would give.
        """
        logits = self.logits(store)
        predictions = decode(store, logits, task.decoding)
        answers = [[a.text for a in question.answers] for question in store.questions.questions]
        odds = [one.null_odds for one in predictions] if task.decoding.with_negative else None
        found = metrics.squad_metrics(answers, [one.answer for one in predictions], odds)
        if odds is not None:
            non_null = [one.non_null for one in predictions]
            found |= metrics.best_threshold(answers, non_null, odds)
        return {**found, "loss": float(np.mean(window_losses(store, logits)))}


class TaskEvaluation(evaluation.TaskEvaluation):
    """Evaluates a `SpanModel`, see the base."""

    evaluator = SpanEvaluator


@dataclasses.dataclass
class EvalSpec(evaluation.EvalSpec):
    """What to evaluate a `SpanModel` on, see the base."""

    evaluation: ClassVar = TaskEvaluation


def window_losses(store, logits):
    """Returns float64 [n]: the loss of each window, see `heads.span_losses`.

    Args:
      store: `WindowStore` with labels.
      logits: float32 [tokens, 2], see `decode`.
    """
    logits, starts = np.asarray(logits, np.float64), store.offsets[:-1]
    highest = np.maximum.reduceat(logits, starts)
    shifted = logits - np.repeat(highest, store.lengths, axis=0)
    sums = np.log(np.add.reduceat(np.exp(shifted), starts)) + highest
    right = [logits[starts + store.labels[:, k], k] for k in range(2)]
    return (sums - np.stack(right, -1)).mean(-1)


def write_predictions(output_dir, store, predictions):
    """Writes Google's files: `predictions.json`, `nbest_predictions.json`, and of SQuAD 2.0
    `null_odds.json`, all by the questions' ids.

    Args:
      output_dir: folder (`pathlib.Path`).
      store: `WindowStore`.
      predictions: list of `Prediction`, one for each question.
    """
    ids = [question.id for question in store.questions.questions]
    answers = {name: one.answer for name, one in zip(ids, predictions, strict=True)}
    n_best = {name: _listed(one.n_best) for name, one in zip(ids, predictions, strict=True)}
    odds = {name: one.null_odds for name, one in zip(ids, predictions, strict=True)}
    _write(output_dir / PREDICTIONS, answers)
    _write(output_dir / N_BEST, n_best)
    if any(value is not None for value in odds.values()):
        _write(output_dir / NULL_ODDS, odds)


def remove_predictions(output_dir):
    """Removes all that `write_predictions` wrote: those of two models must not stand together."""
    for name in (PREDICTIONS, N_BEST, NULL_ODDS):
        (output_dir / name).unlink(missing_ok=True)


def _listed(guesses):
    return [
        {
            "text": guess.text,
            "probability": share,
            "start_logit": guess.start_logit,
            "end_logit": guess.end_logit,
        }
        for guess, share in zip(guesses, probabilities(guesses), strict=True)
    ]


def _write(path, value):
    # The questions in their order, as Google has them.
    files.write_text(path, json.dumps(value, indent=4, allow_nan=False) + "\n")
