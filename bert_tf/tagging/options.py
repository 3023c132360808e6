"""Options of run_tagger.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.finetuning.options import FinetuningOptions, groups
from bert_tf.options import (
    DO_EVAL,
    DO_PREDICT,
    DO_TRAIN,
    at_least,
    between,
    option,
    refuse_if,
)
from bert_tf.tagging import entities

GROUP = "Sentences and labels"


@dataclasses.dataclass(kw_only=True)
class TaggerOptions(FinetuningOptions):
    """Options of `run_tagger.py` and of `tagging.run`."""

    GROUPS: typing.ClassVar = groups(GROUP)

    data_dir: str | None = option(
        None,
        "Folder with train, dev and test in CoNLL columns: train.txt, dev.txt (or valid.txt) and"
        " test.txt, also .conll, .tsv, .iob, .bio; or eng.train, eng.testa and eng.testb.",
        GROUP,
    )
    train_file: str | None = option(
        None, "Training file, in place of the one in data_dir.", GROUP, needs=DO_TRAIN
    )
    dev_file: str | None = option(
        None, "File to evaluate on, in place of the one in data_dir.", GROUP, needs=DO_EVAL
    )
    test_file: str | None = option(
        None, "File to predict, in place of the one in data_dir.", GROUP, needs=DO_PREDICT
    )
    token_column: int = option(
        0, "Column of the word, from 0.", GROUP, valid=between(0, 1000), same=True
    )
    label_column: int = option(
        -1,
        "Column of the label, from 0, or negative from the end; the file to predict may lack it.",
        GROUP,
        valid=between(-1000, 1000),
        same=True,
    )
    labels: str | None = option(
        None,
        "Comma-separated labels, in the order of the output columns. Default: the fine-tuned"
        " model's, else those of the training file.",
        GROUP,
    )
    scheme: str = option(
        "auto",
        "How labels mark entities: iob1, iob2 (BIO), iobes, bilou; none for labels of single words"
        " (parts of speech), which have no F1; auto finds it in the training file. A file that"
        " breaks the scheme that is named is refused.",
        GROUP,
        ("auto", *entities.SCHEMES),
        same=True,  # it decides what is measured, and so what is best
    )
    do_lower_case: bool | None = option(
        None, "Lower-case and strip accents. Default: as model folder or vocabulary show.", GROUP
    )
    max_seq_length: int = option(
        128,
        "Longer sentences are read in windows of this many tokens, [CLS] and [SEP] included.",
        GROUP,
        valid=at_least(3),
        same=True,
    )
    doc_stride: int | None = option(
        None,
        "Pieces from the start of one window of a long sentence to that of the next; half a window"
        " if absent.",
        GROUP,
        valid=at_least(1),
        same=True,
    )
    max_train_examples: int | None = option(
        None,
        "Train on the first this many sentences only.",
        GROUP,
        valid=at_least(1),
        needs=DO_TRAIN,
    )

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        super().check()
        wanted = {
            "train": (self.do_train, "to train on"),
            "dev": (self.do_eval, "to evaluate on"),
            "test": (self.do_predict, "to predict"),
        }
        files = {x: getattr(self, f"{x}_file") for x, (is_read, _) in wanted.items() if is_read}
        for split, file in files.items():
            refuse_if(
                not (self.data_dir or file),
                f"--data_dir or --{split}_file is required: the file {wanted[split][1]}",
            )
        refuse_if(
            bool(self.data_dir) and all(files.values()),
            "--data_dir has no effect beside a file for each split that is read: leave it out",
        )
