"""Questions as the encoder reads them: [CLS] question [SEP] a window of the context [SEP].

A context that is longer than a window is read in several, each `doc_stride` pieces after the one
before; where the answer is not all inside a window, it begins and ends at [CLS] (Google's way).
"""

import dataclasses
import functools

import numpy as np

from bert_tf.data import features
from bert_tf.errors import UserError, shown
from bert_tf.tokenization.offsets import Locator

_FORMAT = 1
_UNKNOWN = (-1, -1)


@dataclasses.dataclass(frozen=True)
class WindowShape:
    """How contexts are cut, in pieces: Google's three numbers.

    Attributes:
      max_seq_length: longest window, [CLS], question and both [SEP] included.
      doc_stride: from the beginning of a window to that of the next.
      max_query_length: longer questions are cut at their end.
    """

    max_seq_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64


class WindowStore(features.FeatureStore):
    """The windows of all questions, one after the other, and where their pieces are in the texts.

    Args:
      features: ids, offsets, first_lengths, labels, fingerprint, see `FeatureStore`. The labels
        are int32 [n, 2], the positions at which the answer begins and ends, 0 for none, -1 where it
        is not known.
      windows: int32 [n, 2]: the question (its position in the file), and the first piece of the
        context that the window has.
      spans: int32 [pieces, 2]: the characters of its context that each piece of it is made of, for
        all contexts end to end.
      span_offsets: int64 [contexts + 1]; the pieces of context c are
        spans[span_offsets[c] : span_offsets[c + 1]].
      questions: `Questions` that the windows are of.
    """

    label_shape = (None, 2)

    def __init__(self, *, windows, spans, span_offsets, questions, **features):
        super().__init__(**features)
        self.questions = questions
        self.windows = np.asarray(windows)
        self.spans = spans
        self.span_offsets = np.asarray(span_offsets)

    @property
    def context_lengths(self):
        """int32 [n]: how many pieces of the context each window has."""
        return self.lengths - self.first_lengths - 1

    def spans_of(self, context):
        """Returns int32 [pieces, 2]: the characters of each piece of a context."""
        return self.spans[self.span_offsets[context] : self.span_offsets[context + 1]]


def build_windows(questions, tokenizer, shape, cache_dir=None, labelled=True):
    """Returns the `WindowStore` of `questions`, from `cache_dir` if it was built before.

    Args:
      questions: `Questions`.
      tokenizer: `BertTokenizer`.
      shape: `WindowShape`.
      cache_dir: folder of stores, see `features.stored`; None keeps it in memory.
      labelled: whether the answers are known and wanted as labels: of each question the first one.

    Raises:
      UserError: cache_dir cannot be written, or an answer has no piece.
    """
    asked = questions.questions
    parts = [
        [question.text for question in asked],
        np.array([question.context for question in asked], np.int64),
    ]
    if labelled:  # of all answers: the first is learnt, and each of them may be met
        answers = [question.answers or () for question in asked]
        parts.append(np.array([len(some) for some in answers], np.int64))
        parts.append(np.array([answer.start for some in answers for answer in some], np.int64))
        parts.append([answer.text for some in answers for answer in some])
    key = features.fingerprint(
        "windows",
        _FORMAT,
        tokenizer.fingerprint,
        *dataclasses.astuple(shape),
        questions.contexts,
        *parts,
    )

    def encode():
        return _encode(questions, tokenizer, shape, labelled)

    return features.stored(
        key, cache_dir, encode, functools.partial(WindowStore, questions=questions)
    )


def _encode(questions, tokenizer, shape, labelled):
    locator = Locator(tokenizer)
    contexts = locator.locate(questions.contexts)
    asked = tokenizer.tokenize([q.text.encode("utf-8", "ignore") for q in questions.questions])
    cls, sep = ([i] for i in (tokenizer.vocab.cls_id, tokenizer.vocab.sep_id))
    ids, lengths, first_lengths, labels, windows = [], [], [], [], []
    for index, (question, pieces) in enumerate(
        zip(questions.questions, asked.to_list(), strict=True)
    ):
        context, spans = contexts[question.context]
        first = np.array([*cls, *pieces[: shape.max_query_length], *sep], np.int32)
        answer = _pieces_of(question, spans, questions.source) if labelled else None
        for start, end in _cut(len(context), shape.max_seq_length - len(first) - 1, shape):
            window = np.concatenate([first, context[start:end], sep])
            ids.append(window)
            lengths.append(len(window))
            first_lengths.append(len(first))
            windows.append((index, start))
            labels.append(_positions(answer, start, end, len(first)) if labelled else _UNKNOWN)
    sizes = [len(context) for context, _ in contexts]
    return {
        "ids": np.concatenate(ids).astype(np.int32),
        "offsets": np.cumsum([0, *lengths]).astype(np.int64),
        "first_lengths": np.array(first_lengths, np.int32),
        "labels": np.array(labels, np.int32),
        "windows": np.array(windows, np.int32),
        "spans": np.concatenate([spans for _, spans in contexts]).astype(np.int32),
        "span_offsets": np.cumsum([0, *sizes]).astype(np.int64),
    }


def _cut(count, room, shape):
    """[(start, end)] of the windows of a context of `count` pieces, one of none if there are none.

    Google's: the last one is the first that reaches the end of the context.
    """
    starts = [0]
    while starts[-1] + room < count:
        starts.append(starts[-1] + min(room, shape.doc_stride))
    return [(start, min(start + room, count)) for start in starts]


def _pieces_of(question, spans, source):
    """(first, last) piece of the answer, every piece that has a character of it; None for none."""
    if not question.answers:
        return None
    answer = question.answers[0]
    touched = np.flatnonzero((spans[:, 1] > answer.start) & (spans[:, 0] < answer.end))
    if not len(touched):
        raise UserError(
            f"{source}: question {shown(question.id)}: its answer"
            f" {shown(answer.text)} is of characters that BERT drops: nothing is left"
            " to find: delete it or correct it"
        )
    return int(touched[0]), int(touched[-1])


def _positions(answer, start, end, before):
    """Positions of the answer in the window of the pieces start to end, (0, 0) if not all inside.

    Args:
      answer: (first, last) piece of the context, or None.
      start, end: of the window.
      before: positions of the window before its first piece of the context.
    """
    if answer is None or answer[0] < start or answer[1] >= end:
        return 0, 0
    return answer[0] - start + before, answer[1] - start + before
