"""Questions in SQuAD's JSON: contexts, questions, answers with their places in the context."""

import dataclasses
import pathlib

from absl import logging

from bert_tf import files
from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown

_ADVICE = "expected SQuAD's form: data, paragraphs, context, qas, id, question, answers"
_SHIFT = 16  # characters by which a wrong answer_start is looked around


@dataclasses.dataclass(frozen=True)
class Answer:
    """A text, and the character of the context with which it begins."""

    text: str
    start: int

    @property
    def end(self):
        """The character of the context after it."""
        return self.start + len(self.text)


@dataclasses.dataclass(frozen=True)
class Question:
    """One question about a context.

    Attributes:
      id: the file's name for it.
      text: the question.
      context: position of its context in `Questions.contexts`.
      answers: tuple of `Answer`, () where the file says that there is none; None where it does not
        say.
    """

    id: str
    text: str
    context: int
    answers: tuple[Answer, ...] | None


@dataclasses.dataclass(frozen=True)
class Questions:
    """The questions of a file, in its order.

    Attributes:
      contexts: list of str, each paragraph once.
      questions: list of `Question`.
      source: the file.
    """

    contexts: list[str]
    questions: list[Question]
    source: str

    def __len__(self):
        return len(self.questions)

    def context_of(self, question):
        """Returns the text that a `Question` is about."""
        return self.contexts[question.context]

    def first(self, count):
        """Returns the `Questions` without those after the first `count`; all if None."""
        return (
            self if count is None else dataclasses.replace(self, questions=self.questions[:count])
        )

    def require_answers(self, with_negative, what):
        """Raises `UserError` unless every question says what its answer is.

        Args:
          with_negative: whether it may be that there is none.
          what: what the answers are needed for: the flag.
        """
        for question in self.questions:
            where = f"{self.source}: question {shown(question.id)}"
            if question.answers is None:
                raise UserError(f"{where} has no answers, which --{what} needs")
            if not question.answers and not with_negative:
                raise UserError(
                    f"{where} has no answer: give --version_2_with_negative=true (SQuAD 2.0)"
                )


def read_questions(path):
    """Returns the `Questions` of a file of SQuAD 1.1 or 2.0.

    Raises:
      UserError: the file cannot be read, lacks a key, holds something else in its place, names two
        questions alike, or an answer is not in the context where it says; the message names the
        question.
    """
    path = pathlib.Path(path)
    reader = _Reader(path)
    for place, entry in reader.items(files.read_json(path, "SQuAD file"), "data", ""):
        for paragraph_place, paragraph in reader.items(entry, "paragraphs", place):
            reader.read_paragraph(paragraph, paragraph_place)
    if not reader.questions:
        raise UserError(f"{path}: holds no question: {_ADVICE}")
    several = sum(len(question.answers or ()) > 1 for question in reader.questions)
    logging.info(
        "%s: %s on %s, %d with several answers, %d without one",
        path, counted(len(reader.questions), "question", "questions"),
        counted(len(reader.contexts), "paragraph", "paragraphs"), several,
        sum(question.answers == () for question in reader.questions),
    )  # fmt: skip
    return Questions(reader.contexts, reader.questions, str(path))


class _Reader:
    """What was read of a file so far, and the messages that name a place in it."""

    def __init__(self, path):
        self.path = path
        self.contexts = []
        self.questions = []
        self._places = {}  # {id: where it was}

    def items(self, value, key, place):
        """Yields (place, dict) of the objects in the list that `value` has under `key`."""
        found = self._get(value, key, list, place)
        for index, item in enumerate(found):
            where = f"{place}{'.' if place else ''}{key}[{index}]"
            if not isinstance(item, dict):
                raise UserError(
                    f"{self.path}: {where} must be an object, found {_kind(item)}: {_ADVICE}"
                )
            yield where, item

    def read_paragraph(self, paragraph, place):
        """Reads the context of a paragraph, and the questions about it."""
        self.contexts.append(self._get(paragraph, "context", str, place))
        for where, question in self.items(paragraph, "qas", place):
            self.questions.append(self._question(question, where))

    def _question(self, value, place):
        name = self._get(value, "id", str, place)
        if name in self._places:
            raise UserError(
                f"{self.path}: {place} and {self._places[name]} are both named {shown(name)}: each"
                " question needs an id of its own"
            )
        self._places[name] = place
        where = f"{place} (id {shown(name)})"
        text = self._get(value, "question", str, where)
        if not text.strip():
            raise UserError(f"{self.path}: {where}: the question is empty: fill it in or delete it")
        return Question(name, text, len(self.contexts) - 1, self._answers(value, where))

    def _answers(self, value, where):
        impossible = value.get("is_impossible")
        if impossible not in (None, True, False):
            raise UserError(
                f"{self.path}: {where}: is_impossible must be true or false, found"
                f" {_kind(impossible)}"
            )
        if "answers" not in value:
            return () if impossible else None
        found = tuple(self._answer(x, place) for place, x in self.items(value, "answers", where))
        if impossible is not None and impossible == bool(found):
            raise UserError(
                f"{self.path}: {where}: is_impossible is {str(impossible).lower()}, and there"
                f" {'are answers' if found else 'is no answer'}: correct one of them"
            )
        return found

    def _answer(self, value, where):
        answer = Answer(
            self._get(value, "text", str, where), self._get(value, "answer_start", int, where)
        )
        context = self.contexts[-1]
        if not answer.text.strip():
            raise UserError(
                f"{self.path}: {where}: the answer is empty: a question without an answer has an"
                " empty list of answers"
            )
        if answer.start < 0 or context[answer.start : answer.end] != answer.text:
            raise UserError(
                f"{self.path}: {where}: the context has"
                f" {shown(context[max(answer.start, 0) : max(answer.end, 0)])} at character"
                f" {answer.start}, not the answer {shown(answer.text)}{_nearest(context, answer)}:"
                " correct answer_start or the text"
            )
        return answer

    def _get(self, value, key, kind, place):
        if key not in value:
            keys = ", ".join(map(shown, list(value)[:10])) or "none"
            where = f"{place} has no key" if place else "has no key"
            raise UserError(f"{self.path}: {where} {key!r}, found {keys}: {_ADVICE}")
        found = value[key]
        if not isinstance(found, kind) or isinstance(found, bool):
            wanted = {list: "a list", str: "text", int: "a whole number"}[kind]
            where = f"{place}: " if place else ""
            raise UserError(f"{self.path}: {where}{key} must be {wanted}, found {_kind(found)}")
        return found


def _nearest(context, answer):
    """What to say of where the answer is, if it is near."""
    low = max(0, answer.start - _SHIFT)
    found = context.find(answer.text, low, max(0, answer.end) + _SHIFT)
    if found < 0:
        return "" if answer.text in context else ", which is nowhere in it"
    return f", which is at character {found}"


def _kind(value):
    kinds = {type(None): "null", list: "a list", dict: "an object", bool: "true or false"}
    return kinds.get(type(value), shown(str(value)))
