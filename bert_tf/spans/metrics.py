"""SQuAD's metrics: exact match and F1 of words, as its own evaluation scripts compute them."""

import collections
import re
import string

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text):
    """Returns the text in lower case, without punctuation and articles, its blanks single."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(gold, prediction):
    """Returns whether two answers are the same once they are normalised, 0.0 or 1.0."""
    return float(normalize_answer(gold) == normalize_answer(prediction))


def f1(gold, prediction, with_negative=False):
    """Returns the F1 of the normalised words that two answers share, in [0, 1].

    Args:
      gold, prediction: str.
      with_negative: whether two answers without a word are the same, as SQuAD 2.0 has it; in 1.1
        they share no word.
    """
    wanted, found = normalize_answer(gold).split(), normalize_answer(prediction).split()
    if with_negative and not (wanted and found):
        return float(wanted == found)
    shared = sum((collections.Counter(wanted) & collections.Counter(found)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def best_scores(answers, prediction, with_negative=False):
    """Returns (exact match, F1) of a prediction: of each the best over the answers.

    Args:
      answers: the texts (str) of the question's answers, () if it has none.
      prediction: str, empty for none.
      with_negative: SQuAD 2.0, where a question may have no answer.
    """
    golds = list(answers)
    if with_negative:
        # As the script of 2.0: an answer of articles and punctuation alone is none.
        golds = [gold for gold in golds if normalize_answer(gold)] or [""]
    return (
        max(exact_match(gold, prediction) for gold in golds),
        max(f1(gold, prediction, with_negative) for gold in golds),
    )


def squad_metrics(answers, predictions, null_odds=None):
    """Returns {metric: float} over all questions, those of SQuAD's scripts as shares of 1.

    Args:
      answers: for each question the texts of its answers, () for none (SQuAD 2.0).
      predictions: for each question what was answered, "" for none.
      null_odds: for each question how much the model prefers no answer to its best answer; None for
        SQuAD 1.1.

    Returns:
      `f1`, `exact_match`; of SQuAD 2.0 both of the questions with an answer
      (`has_answer_f1`, ...) and without (`no_answer_f1`, ...), where there are such.
    """
    with_negative = null_odds is not None
    scores = np.array(
        [
            best_scores(golds, prediction, with_negative)
            for golds, prediction in zip(answers, predictions, strict=True)
        ]
    )
    found = _means(scores, "")
    if with_negative:
        has_answer = np.array([bool(golds) for golds in answers])
        for name, rows in (("has_answer_", has_answer), ("no_answer_", ~has_answer)):
            if rows.any():
                found |= _means(scores[rows], name)
    return found


def best_threshold(answers, non_null, null_odds):
    """Returns {`best_f1`, `best_f1_threshold`, `best_exact_match`, `best_exact_match_threshold`}.

    What the threshold of the null score would give best on these questions: a question whose odds
    are above it has no answer.

    Args:
      answers: see `squad_metrics`.
      non_null: for each question the best answer that is one.
      null_odds: for each question the odds.
    """
    # What it adds to the sum to answer a question: its score, or one right silence less.
    gains = np.array(
        [
            best_scores(golds, text, True) if golds else (-float(bool(text)),) * 2
            for golds, text in zip(answers, non_null, strict=True)
        ]
    )
    silences = sum(not golds for golds in answers)
    order = np.argsort(null_odds, kind="stable")
    odds = np.asarray(null_odds, np.float64)[order]
    found = {}
    for column, name in enumerate(("exact_match", "f1")):
        sums = silences + np.concatenate([[0.0], np.cumsum(gains[order, column])])
        # Between two equal odds no threshold can part the questions.
        possible = np.concatenate([[True], odds[1:] != odds[:-1], [True]])
        best = int(np.argmax(np.where(possible, sums, -np.inf)))
        found[f"best_{name}"] = float(sums[best] / len(odds))
        found[f"best_{name}_threshold"] = float(odds[best - 1] if best else min(0.0, odds[0] - 1.0))
    return found


def _means(scores, prefix):
    exact, overlap = scores.mean(0)
    return {f"{prefix}f1": float(overlap), f"{prefix}exact_match": float(exact)}
