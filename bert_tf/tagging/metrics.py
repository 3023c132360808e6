"""Precision, recall and F1 of entities, as seqeval and conlleval count them."""

import numpy as np

from bert_tf.tagging import entities


def names(scheme):
    """Returns the names of the metrics of all types together; the first decides what is best."""
    return ("accuracy",) if scheme == "none" else ("f1", "precision", "recall", "accuracy")


def compute(task, offsets, labels, predictions):
    """Returns {metric: float}: `names`, and of each type f1_TYPE, precision_TYPE, recall_TYPE.

    An entity counts as found if its first word, its last and its type are right. What has no
    denominator is 0.

    Args:
      task: `TaggingTask`.
      offsets: int [sentences + 1], see `ConllFile`.
      labels, predictions: int [words], positions in the task's labels.
    """
    accuracy = {"accuracy": float(np.mean(labels == predictions))}
    if task.scheme == "none":
        return accuracy
    alphabet = entities.Alphabet.of(task.labels)
    wanted = entities.spans(labels, alphabet, offsets)
    found = entities.spans(predictions, alphabet, offsets)
    # Entities do not overlap: the first word names one.
    right = {tuple(x) for x in np.stack(wanted, 1).tolist()}
    right &= {tuple(x) for x in np.stack(found, 1).tolist()}
    count = len(alphabet.types)
    counts = [
        np.bincount(np.asarray(kinds, np.int64), minlength=count)
        for kinds in ([kind for *_, kind in right], found[2], wanted[2])
    ]
    of_all = _scores(*(int(x.sum()) for x in counts))
    by_type = {
        f"{name}_{kind}": value
        for i, kind in enumerate(alphabet.types)
        for name, value in _scores(*(int(x[i]) for x in counts)).items()
    }
    return {**of_all, **accuracy, **by_type}


def _scores(right, found, wanted):
    precision = right / found if found else 0.0
    recall = right / wanted if wanted else 0.0
    both = precision + recall
    return {
        "f1": 2 * precision * recall / both if both else 0.0,
        "precision": precision,
        "recall": recall,
    }
