"""From the logits of windows to answers: Google's n-best, its null score, texts as they stand."""

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How answers are chosen.

    Attributes:
      n_best_size: starts and ends of each window that are paired, and answers that are listed.
      max_answer_length: pieces of the longest answer.
      with_negative: whether there may be no answer (SQuAD 2.0).
      null_score_diff_threshold: no answer is given where the score of none is higher than that of
        the best answer by more than this.
    """

    n_best_size: int = 20
    max_answer_length: int = 30
    with_negative: bool = False
    null_score_diff_threshold: float = 0.0


@dataclasses.dataclass(frozen=True)
class Guess:
    """One answer; `text` is "" for none. Its score is the sum of its logits."""

    text: str
    start_logit: float
    end_logit: float

    @property
    def score(self):
        """What answers are ordered by."""
        return self.start_logit + self.end_logit

    @property
    def logits(self):
        """(start_logit, end_logit)."""
        return self.start_logit, self.end_logit


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is answered to a question.

    Attributes:
      answer: str, "" for none.
      n_best: list of `Guess`, the best first; where there may be no answer, none is among them.
      non_null: the best answer that is one; "" if the context has no piece.
      null_odds: score of no answer minus that of the best answer; None for SQuAD 1.1.
    """

    answer: str
    n_best: list[Guess]
    non_null: str
    null_odds: float | None


def decode(store, logits, decoding):
    """Returns the `Prediction` of each question, in the file's order.

    Args:
      store: `WindowStore`.
      logits: float32 [tokens, 2] of start and end, the windows end to end as in the store.
      decoding: `Decoding`.
    """
    rows = itertools.groupby(range(len(store)), key=lambda i: int(store.windows[i, 0]))
    return [
        _Decoder(store, logits, decoding, question, list(group)).prediction()
        for question, group in rows
    ]


def probabilities(guesses):
    """Returns the softmax (list of float) of the scores of `Guess`es."""
    scores = np.array([guess.score for guess in guesses], np.float64)
    shares = np.exp(scores - scores.max())
    return (shares / shares.sum()).tolist()


class _Decoder:
    """The windows of one question."""

    def __init__(self, store, logits, decoding, question, rows):
        asked = store.questions.questions[question]
        self.decoding = decoding
        self.context = store.questions.context_of(asked)
        self.spans = store.spans_of(asked.context)
        self.starts = store.windows[rows, 1]
        self.lengths = store.context_lengths[rows]
        self.before = store.first_lengths[rows]  # positions before the context
        self.logits = [
            np.asarray(logits[store.offsets[i] : store.offsets[i + 1]], np.float64) for i in rows
        ]

    def prediction(self):
        candidates = sorted(self._candidates(), key=lambda candidate: -candidate[0])
        non_null = self._guess(candidates[0]) if candidates else None
        answer = non_null.text if non_null else ""
        if not self.decoding.with_negative:
            guesses = self._different(candidates)
            return Prediction(answer, guesses or [Guess("", 0.0, 0.0)], answer, None)
        null = self._null()
        n_best = self._different([*candidates, (null.score, None, None, *null.logits)])
        if null not in n_best:
            n_best.append(null)
        if non_null is None:  # a context without a piece
            return Prediction("", n_best, "", 0.0)
        odds = null.score - non_null.score
        silent = odds > self.decoding.null_score_diff_threshold
        return Prediction("" if silent else answer, n_best, answer, odds)

    def _null(self):
        """The `Guess` of no answer: [CLS] of the window that says so least."""
        firsts = [logits[0] for logits in self.logits]
        start, end = min(firsts, key=lambda first: first[0] + first[1])
        return Guess("", float(start), float(end))

    def _different(self, candidates):
        """[`Guess`] of different texts, the best `n_best_size`, the best first."""
        found = {}
        for candidate in sorted(candidates, key=lambda candidate: -candidate[0]):
            if len(found) == self.decoding.n_best_size:
                break
            guess = self._guess(candidate)
            found.setdefault(guess.text, guess)
        return list(found.values())

    def _candidates(self):
        """[(score, first piece, last piece, start logit, end logit)] of the context's answers."""
        most_context = self._most_context()
        windows = range(len(self.starts))
        found = [x for i in windows for x in self._candidates_of(i, most_context[i])]
        # The best starts and ends of all windows may make no answer.
        return found or self._best_of_all(most_context)

    def _most_context(self):
        """bool [windows, pieces]: in which window a piece has most context on both sides.

        A piece is in several windows; it may begin an answer in one of them only.
        """
        pieces = np.arange(len(self.spans))
        starts, lengths = self.starts[:, None], self.lengths[:, None]
        ends = starts + lengths - 1
        scores = np.minimum(pieces - starts, ends - pieces) + 0.01 * lengths
        scores = np.where((pieces >= starts) & (pieces <= ends), scores, -np.inf)
        return np.arange(len(scores))[:, None] == scores.argmax(0)

    def _candidates_of(self, window, may_begin):
        """`_candidates` of the best starts and ends of a window."""
        logits, shift = self.logits[window], self.starts[window] - self.before[window]
        best = np.argsort(-logits, axis=0, kind="stable")[: self.decoding.n_best_size]
        low = self.starts[window]
        high = low + self.lengths[window]
        firsts, lasts = (best[:, k] + shift for k in range(2))
        firsts = firsts[(firsts >= low) & (firsts < high)]
        firsts = firsts[may_begin[firsts]]
        lasts = lasts[(lasts >= low) & (lasts < high)]
        sizes = lasts - firsts[:, None] + 1
        pairs = np.argwhere((sizes > 0) & (sizes <= self.decoding.max_answer_length))
        return [self._candidate(window, firsts[i], lasts[j]) for i, j in pairs]

    def _best_of_all(self, most_context):
        """[candidate], the best of all answers that are short enough; [] if there is no piece."""
        found = []
        for window, (start, length) in enumerate(zip(self.starts, self.lengths, strict=True)):
            logits = self.logits[window][self.before[window] :][:length]
            sizes = np.arange(length) - np.arange(length)[:, None] + 1
            allowed = (sizes > 0) & (sizes <= self.decoding.max_answer_length)
            allowed &= most_context[window, start : start + length, None]
            if allowed.any():
                scores = np.where(allowed, logits[:, :1] + logits[:, 1], -np.inf)
                first, last = np.unravel_index(scores.argmax(), scores.shape)
                found.append(self._candidate(window, start + first, start + last))
        return sorted(found, key=lambda candidate: -candidate[0])[:1]

    def _candidate(self, window, first, last):
        shift, logits = self.before[window] - self.starts[window], self.logits[window]
        start, end = float(logits[first + shift, 0]), float(logits[last + shift, 1])
        return start + end, int(first), int(last), start, end

    def _guess(self, candidate):
        _, first, last, start_logit, end_logit = candidate
        text = "" if first is None else self.context[self.spans[first, 0] : self.spans[last, 1]]
        return Guess(text, start_logit, end_logit)
