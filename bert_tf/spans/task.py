"""What a span model was fine-tuned to do, as task.json has it."""

import dataclasses
import typing

from bert_tf.errors import UserError
from bert_tf.spans.decoding import Decoding
from bert_tf.spans.windows import WindowShape

NAME = "squad"


@dataclasses.dataclass(frozen=True)
class SpanTask:
    """Answering questions by spans of their contexts.

    Attributes:
      shape: `WindowShape`.
      decoding: `Decoding`, whose `with_negative` is part of the task.
    """

    name: typing.ClassVar = NAME
    labels: typing.ClassVar = None
    metrics: typing.ClassVar = ("f1", "exact_match")

    shape: WindowShape
    decoding: Decoding

    def to_json(self):
        """Returns the dict for task.json."""
        return {
            "task_name": NAME,
            "head": "question_answering",
            "labels": None,
            "version_2_with_negative": self.decoding.with_negative,
            **dataclasses.asdict(self.shape),
        }


def task_of(options, source):
    """Returns the `SpanTask` of the flags; without training the model's own where none is given.

    Args:
      options: `SpanOptions`.
      source: `LoadedModel`.

    Raises:
      UserError: task.json holds something else than such values, or a flag has no effect.
    """
    saved = source.task if is_spans(source.task) else {}

    def value(name):
        given = getattr(options, name)
        if options.do_train or name in options.given or name not in saved:
            return given
        if type(saved[name]) is not type(given) or (given is not False and saved[name] < 1):
            raise UserError(
                f"{source.source}: task.json: {name} must be"
                f" {'true or false' if isinstance(given, bool) else 'a whole number above 0'},"
                f" found {saved[name]!r}: correct it, or give --{name}"
            )
        return saved[name]

    with_negative = value("version_2_with_negative")
    if not with_negative and "null_score_diff_threshold" in options.given:
        raise UserError(
            "--null_score_diff_threshold has no effect without --version_2_with_negative"
        )
    shape = WindowShape(*(value(field.name) for field in dataclasses.fields(WindowShape)))
    _check_shape(shape, source)
    decoding = Decoding(
        options.n_best_size,
        options.max_answer_length,
        with_negative,
        options.null_score_diff_threshold,
    )
    return SpanTask(shape, decoding)


def is_spans(task):
    """Whether a dict of task.json, or None, is of a span model."""
    return bool(task) and task.get("task_name") == NAME


def _check_shape(shape, source):
    if shape.max_seq_length <= shape.max_query_length + 3:
        raise UserError(
            f"--max_seq_length={shape.max_seq_length}: must be above --max_query_length + 3 ="
            f" {shape.max_query_length + 3}, to hold a question and a piece of its context"
        )
    positions = source.config.max_position_embeddings
    if shape.max_seq_length > positions:
        raise UserError(
            f"--max_seq_length={shape.max_seq_length}: the model's position table"
            f" (max_position_embeddings in its configuration) has {positions} rows"
        )
    if not source.config.reads_pairs:
        raise UserError(
            f"{source.source}: knows single texts only (type_vocab_size 1 in its configuration):"
            " give a model with two token types, for question and context"
        )
