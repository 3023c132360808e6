"""A run of span fine-tuning: its questions, its model, and what is written of its answers."""

import dataclasses
import pathlib

from absl import logging

from bert_tf.checkpoints.head import SPAN_HEAD
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.errors import UserError
from bert_tf.finetuning.job import Job
from bert_tf.spans import evaluation, task
from bert_tf.spans.data import read_questions
from bert_tf.spans.decoding import decode
from bert_tf.spans.model import build_model
from bert_tf.spans.windows import build_windows


@dataclasses.dataclass
class SpanInputs:
    """The windows of one run.

    Attributes:
      task: `SpanTask`.
      train: `WindowStore`, None without do_train.
      dev, test: {"dev" or "test": `WindowStore`} of the file to predict, empty when not asked for.
      do_lower_case: how the text was tokenised.
      pad_to: length to pad every batch to, or None.
    """

    task: task.SpanTask
    train: object
    dev: dict
    test: dict
    do_lower_case: bool
    pad_to: int | None


class SpanJob(Job):
    """A run of run_squad.py."""

    program = "run_squad.py"

    task_of = staticmethod(task.task_of)

    @staticmethod
    def matched(source, wanted, numbers_agree=False):  # noqa: ARG004 - positions are no numbers
        """Returns the `LoadedModel`, what is known of another task left out."""
        known = task.is_spans(source.task)
        return source if known else dataclasses.replace(source, task=None)

    @staticmethod
    def require(source, wanted, advice):  # noqa: ARG004 - there is one such task
        """Raises `UserError` if the model has no head of spans; `advice` says what to do."""
        missing = [name for name in SPAN_HEAD if name not in (source.arrays or {})]
        if missing:
            raise UserError(f"{source.source}: holds no head of spans ({missing[0]}): {advice}")

    @staticmethod
    def read(options, source, wanted, output_dir, write):  # noqa: ARG004 - features alone
        """Returns the `SpanInputs` of the files that the flags name."""
        tokenizer = tokenizer_of(source, options.do_lower_case)
        folder = pathlib.Path(options.feature_dir or output_dir / "features")

        def store(questions, name, labelled):
            found = build_windows(questions, tokenizer, wanted.shape, folder / name, labelled)
            logging.info(
                "%s: %d windows of %d questions, %.1f tokens on average",
                questions.source, len(found), len(questions), found.lengths.mean(),
            )  # fmt: skip
            return found

        train, dev, test = None, {}, {}
        if options.do_train:
            questions = read_questions(options.train_file).first(options.max_train_examples)
            questions.require_answers(wanted.decoding.with_negative, "do_train")
            train = store(questions, "train", labelled=True)
        if options.predict_file:
            questions = read_questions(options.predict_file)
            if options.do_eval:
                questions.require_answers(wanted.decoding.with_negative, "do_eval")
            found = store(questions, "predict", labelled=options.do_eval)
            dev = {"dev": found} if options.do_eval else {}
            test = {"test": found} if options.do_predict else {}
        pad_to = wanted.shape.max_seq_length if options.pad_to_max_length else None
        return SpanInputs(wanted, train, dev, test, tokenizer.do_lower_case, pad_to)

    def new_model(self, source):
        return build_model(source.config, source.arrays, self.options.seed)

    def eval_spec(self, stores, batch_size, pad_to=None):
        return evaluation.EvalSpec(self.task, stores, batch_size, self.views, pad_to)

    def predict(self, view):
        """Writes Google's files of predictions, see `write_predictions`."""
        data, batch_size = self.data, self.options.predict_batch_size
        evaluator = evaluation.SpanEvaluator(self.model, batch_size, data.pad_to, forward=view)
        for store in data.test.values():
            predictions = decode(store, evaluator.logits(store), self.task.decoding)
            if self.chief:
                evaluation.remove_predictions(self.output_dir)
                evaluation.write_predictions(self.output_dir, store, predictions)
        return evaluator.seconds

    def described(self):
        return {}  # the task says how the data were read
