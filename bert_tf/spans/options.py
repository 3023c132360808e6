"""Options of run_squad.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.errors import UserError
from bert_tf.finetuning.options import WORK, FinetuningOptions, groups
from bert_tf.options import DO_TRAIN, Needs, at_least, between, option

GROUP = "Questions and contexts"
ANSWERS = "Answers"

_PREDICTS = Needs("--do_eval or --do_predict", lambda o: o.do_eval or o.do_predict)
_NEGATIVE = Needs(  # without training a model may know it of itself
    "--version_2_with_negative", lambda o: o.version_2_with_negative or not o.do_train
)


@dataclasses.dataclass(kw_only=True)
class SpanOptions(FinetuningOptions):
    """Options of `run_squad.py` and of `spans.run`; names and defaults are Google BERT's."""

    GROUPS: typing.ClassVar = groups(GROUP, ANSWERS)
    HEAD: typing.ClassVar = "cls/squad/output_weights"

    do_eval: bool = option(
        False,
        "Evaluate on predict_file, which has answers then: at each checkpoint of training, and at"
        " its end.",
        WORK,
    )
    do_predict: bool = option(False, "Answer the questions of predict_file.", WORK)

    train_file: str | None = option(
        None, "SQuAD JSON with questions and answers to train on.", GROUP, needs=DO_TRAIN
    )
    predict_file: str | None = option(
        None, "SQuAD JSON with the questions to answer.", GROUP, needs=_PREDICTS
    )
    version_2_with_negative: bool = option(
        False,
        "Questions may have no answer (SQuAD 2.0). Default without do_train: as fine-tuned, like"
        " the next three.",
        GROUP,
        same=True,
    )
    max_seq_length: int = option(
        384,
        "Tokens of the longest window, question, [CLS] and [SEP] included.",
        GROUP,
        valid=at_least(5),
        same=True,
    )
    doc_stride: int = option(
        128,
        "Pieces from the beginning of one window of a long context to that of the next.",
        GROUP,
        valid=at_least(1),
        same=True,
    )
    max_query_length: int = option(
        64, "Longer questions are cut to this many pieces.", GROUP, valid=at_least(1), same=True
    )
    do_lower_case: bool | None = option(
        None, "Lower-case and strip accents. Default: as model folder or vocabulary show.", GROUP
    )
    max_train_examples: int | None = option(
        None,
        "Train on the first this many questions only.",
        GROUP,
        valid=at_least(1),
        needs=DO_TRAIN,
    )
    feature_dir: str | None = option(
        None,
        "Folder for tokenised windows, reused while nothing changed; in output_dir if absent.",
        GROUP,
    )
    n_best_size: int = option(
        20,
        "Best starts and ends of a window that are paired, and answers in nbest_predictions.json.",
        ANSWERS,
        valid=at_least(1),
        needs=_PREDICTS,
        same=True,  # like the next two: what is answered is measured, and decides what is best
    )
    max_answer_length: int = option(
        30, "Pieces of the longest answer.", ANSWERS, valid=at_least(1), needs=_PREDICTS, same=True
    )
    null_score_diff_threshold: float = option(
        0.0,
        "SQuAD 2.0: no answer is given where its score is above that of the best answer by more"
        " than this.",
        ANSWERS,
        valid=between(-10_000, 10_000),
        needs=(_PREDICTS, _NEGATIVE),
        same=True,
    )

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        super().check()
        if self.do_train and not self.train_file:
            raise UserError("--train_file is required: the questions to train on")
        if (self.do_eval or self.do_predict) and not self.predict_file:
            raise UserError("--predict_file is required: the questions to answer")
