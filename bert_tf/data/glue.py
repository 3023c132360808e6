"""The GLUE tasks and XNLI in the layout of their original files."""

import dataclasses
import pathlib

from absl import logging

from bert_tf.data.readers import read_tsv
from bert_tf.data.task import FileTask, SplitFile

_BINARY = ("0", "1")
_ENTAILMENT = ("not_entailment", "entailment")
_NLI = ("contradiction", "entailment", "neutral")
_BINARY_METRICS = ("accuracy", "f1", "precision", "recall")


def _splits(columns, test=None, names=("train", "dev", "test"), **common):
    """(split, `SplitFile`) pairs of files <split>.tsv; the test files have no label column."""
    unlabelled = {k: v for k, v in columns.items() if k not in ("label", "skip_damaged")}
    return tuple(
        (
            name,
            SplitFile(
                f"{name}.tsv",
                **((test or unlabelled) if name.startswith("test") else columns),
                **common,
            ),
        )
        for name in names
    )


def _pair(label="label"):
    return {"text_a": "sentence1", "text_b": "sentence2", "label": label, "ids": "index"}


def cola():
    """Linguistic acceptability; only the test file has a header."""
    train = {"text_a": 3, "label": 1, "header": False}
    return FileTask(
        "cola",
        _BINARY,
        ("matthews_corrcoef", *_BINARY_METRICS),
        files=_splits(train, {"text_a": "sentence", "ids": "index"}),
    )


def sst2():
    """Sentiment of sentences; the test file's text is its second column, behind an index."""
    columns = {"text_a": "sentence", "label": "label"}
    return FileTask(
        "sst-2",
        _BINARY,
        _BINARY_METRICS,
        files=_splits(columns, {"text_a": "sentence", "ids": "index"}),
    )


def mnli(mismatched_first=False):
    """Natural language inference, with matched and mismatched dev and test sets."""
    kinds = ("mismatched", "matched") if mismatched_first else ("matched", "mismatched")
    dev, test = (tuple(f"{split}_{kind}" for kind in kinds) for split in ("dev", "test"))
    return FileTask(
        "mnli-mm" if mismatched_first else "mnli",
        _NLI,
        ("accuracy",),
        dev,
        test,
        files=_splits(_pair("gold_label"), names=("train", *dev, *test)),
        unlabelled="-",  # as in the original MultiNLI and SNLI files
    )


def mnli_mismatched():
    """MNLI whose best model is chosen on the mismatched dev set."""
    return mnli(mismatched_first=True)


def qnli():
    """Does the sentence answer the question?"""
    columns = {"text_a": "question", "text_b": "sentence", "label": "label", "ids": "index"}
    return FileTask("qnli", _ENTAILMENT, _BINARY_METRICS, files=_splits(columns))


def qqp():
    """Question pairs; a few rows of the original files are broken by line ends in a question."""
    text = {"text_a": "question1", "text_b": "question2", "ids": "id"}
    return FileTask(
        "qqp",
        _BINARY,
        _BINARY_METRICS,
        files=_splits({**text, "label": "is_duplicate", "skip_damaged": True}),
    )


def rte():
    """Textual entailment."""
    return FileTask("rte", _ENTAILMENT, _BINARY_METRICS, files=_splits(_pair()))


def wnli():
    """Winograd sentences."""
    return FileTask("wnli", _BINARY, _BINARY_METRICS, files=_splits(_pair()))


def stsb():
    """Similarity of sentences, a score from 0 to 5; Pearson decides what is best."""
    return FileTask(
        "sts-b",
        None,
        ("pearson", "spearman"),
        score_range=(0.0, 5.0),
        files=_splits(_pair("score")),
    )


@dataclasses.dataclass(frozen=True)
class MrpcTask(FileTask):
    """Paraphrases, in GLUE's three files or in the two of the original corpus.

    Where there is no train.tsv, dev.tsv or test.tsv, `msr_paraphrase_train.txt` and
    `msr_paraphrase_test.txt` are read. Dev is then made of the training pairs that dev_ids.tsv
    lists, as GLUE does it; without that file it is the official test set.
    """

    def source(self, data_dir, split):
        self.check_split(split)
        folder = pathlib.Path(data_dir)
        corpus = [folder / name for name in (_MSR_TRAIN.file, _MSR_TEST.file)]
        glue = any((folder / spec.file).exists() for _, spec in self.files)
        if glue or not any(path.exists() for path in corpus):
            return super().source(data_dir, split)
        if split == "test":
            return self.source_of(data_dir, dataclasses.replace(_MSR_TEST, label=None))
        dev_ids = folder / "dev_ids.tsv"
        if dev_ids.exists():
            return self._half(data_dir, dev_ids, split == "dev")
        if split == "dev":
            logging.warning("%s is the dev set: there is no dev.tsv or dev_ids.tsv", corpus[1])
        return self.source_of(data_dir, _MSR_TEST if split == "dev" else _MSR_TRAIN)

    def _half(self, data_dir, dev_ids, dev):
        """The pairs of the training file that are listed in `dev_ids`, or those that are not."""
        ids = read_tsv(dev_ids, header=False)
        listed = set(zip(ids.column(0), ids.column(1), strict=True))
        table = self.table_of(data_dir, _MSR_TRAIN)
        pairs = zip(table.column("#1 ID"), table.column("#2 ID"), strict=True)
        keep = [i for i, pair in enumerate(pairs) if (pair in listed) == dev]
        if dev:
            logging.info("dev is %d pairs of %s, by %s", len(keep), table.path, dev_ids)
        return table.select(keep), _MSR_TRAIN


_MRPC_TEXT = {"text_a": "#1 String", "text_b": "#2 String"}
_MSR_TRAIN = SplitFile("msr_paraphrase_train.txt", label="Quality", **_MRPC_TEXT)
_MSR_TEST = SplitFile("msr_paraphrase_test.txt", label="Quality", **_MRPC_TEXT)


def mrpc():
    """Paraphrases, see `MrpcTask`."""
    files = _splits({**_MRPC_TEXT, "label": "Quality"}, {**_MRPC_TEXT, "ids": "index"})
    return MrpcTask("mrpc", _BINARY, _BINARY_METRICS, files=files)


@dataclasses.dataclass(frozen=True)
class XnliTask(FileTask):
    """Inference in one of XNLI's languages.

    Attributes:
      language: two-letter code, as in the files.
    """

    language: str = "zh"

    def to_json(self):
        return {**super().to_json(), "language": self.language}


def xnli(language="zh"):
    """Trains on the translated MultiNLI file, evaluates and predicts XNLI's rows of `language`."""
    columns = {"text_a": "sentence1", "text_b": "sentence2", "only": ("language", language)}
    train = SplitFile(f"multinli/multinli.train.{language}.tsv", text_a=0, text_b=1, label=2)
    return XnliTask(
        "xnli",
        _NLI,
        ("accuracy",),
        files=(
            ("train", train),
            ("dev", SplitFile("xnli.dev.tsv", label="gold_label", **columns)),
            ("test", SplitFile("xnli.test.tsv", **columns)),
        ),
        label_aliases=(("contradictory", "contradiction"),),
        language=language,
    )
