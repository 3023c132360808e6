"""Flags that name a task and its files, parts of several programs' (no TensorFlow)."""

import dataclasses

from bert_tf.data.sources.spec import parse_dataset, parse_split, parse_splits
from bert_tf.options import (
    DO_EVAL,
    DO_PREDICT,
    DO_TRAIN,
    SEED,
    Needs,
    at_least,
    between,
    check_table,
    option,
    useless_with,
)

GROUP = "Task and data"
CUSTOM_GROUP = "Your own files (with task_name=custom)"

CUSTOM = Needs(
    "--task_name=custom",
    lambda options: options.dataset or (options.task_name or "custom").lower() == "custom",
)
DATASET = Needs("--dataset", lambda options: options.dataset is not None)
_DRAWN = Needs("--dev_fraction", lambda options: options.dev_fraction is not None)
FILES = useless_with(
    "--tfrecord_dir",
    lambda options: options.tfrecord_dir is not None,
    ", whose files are read as they are",
)
_AUGMENTED = Needs("--data_aug", lambda options: options.data_aug)
_XNLI = Needs("--task_name=xnli", lambda options: (options.task_name or "xnli").lower() == "xnli")


def dev_split_option(needs=DATASET):
    """Returns the flag --dev_split of a program in which it has an effect with `needs`."""
    return option(
        None,
        "Split of the data set to evaluate on, or several, separated by commas.",
        GROUP,
        valid=parse_splits,
        needs=needs,
    )


@dataclasses.dataclass(kw_only=True)
class TaskOptions:
    """A task and its labelled rows."""

    task_name: str | None = option(
        None,
        "cola, mnli, mrpc, qnli, qqp, rte, sst-2, sts-b, wnli, xnli; documents: ag, dbpedia, imdb,"
        " sogou, trec, yahoo, yelp-f (full), yelp-p (polarity); or custom for your own files."
        " Default: the task of the fine-tuned model.",
        GROUP,
    )
    data_dir: str | None = option(
        None,
        "Folder with the task's files in their original layout; with --dataset=tfds:, of its"
        " prepared sets.",
        GROUP,
    )
    dataset: str | None = option(
        None,
        "A data set in place of files in their original layout: hf:glue/mrpc (Hugging Face, or a"
        " folder of save_to_disk), tfds:glue/mrpc, or csv:, json:, parquet: with a file, folder or"
        " pattern. Columns and splits are found by their names, which the log says.",
        GROUP,
        valid=parse_dataset,
    )
    train_split: str | None = option(
        None,
        "Split of the data set to train on, or a part such as train[:10%].",
        GROUP,
        valid=parse_split,
        needs=DATASET,
    )
    dev_fraction: float | None = option(
        None,
        "Draw this share of the training rows as dev set, of each label alike. Default: the data"
        " set's own dev split, or as the model was trained.",
        GROUP,
        valid=between(0, 1, "()"),
        needs=DATASET,
    )
    split_seed: int = option(42, "Seed of that draw.", GROUP, valid=SEED, needs=(DATASET, _DRAWN))
    list_datasets: bool = option(
        False,
        "Print the data sets that are here (with --dataset=hf:WORD, tfds:WORD: look for WORD), and"
        " do nothing else.",
        GROUP,
    )
    list_configs: bool = option(
        False,
        "Print the configurations of the data set, and do nothing else.",
        GROUP,
        needs=DATASET,
    )
    dataset_info: bool = option(
        False,
        "Print splits, columns, labels and rows of the data set, and do nothing else.",
        GROUP,
        needs=DATASET,
    )
    do_lower_case: bool | None = option(
        None, "Lower-case and strip accents. Default: as model folder or vocabulary show.", GROUP
    )
    train_file: str | None = option(
        None, "custom task: training file, .tsv, .csv or .jsonl.", CUSTOM_GROUP, needs=CUSTOM
    )
    text_column: str | None = option(
        None,
        "custom task: column of the text, a header name or a 0-based number.",
        CUSTOM_GROUP,
        needs=CUSTOM,
    )
    text_pair_column: str | None = option(
        None, "custom task: column of the second text.", CUSTOM_GROUP, needs=CUSTOM
    )
    label_column: str | None = option(
        None, "custom task: column of the label.", CUSTOM_GROUP, needs=CUSTOM
    )
    labels: str | None = option(
        None,
        "custom task: comma-separated labels, in the order of the output columns; with two, f1,"
        " precision and recall are those of the second. Default: the fine-tuned model's, else those"
        " found in the training file.",
        CUSTOM_GROUP,
        needs=CUSTOM,
    )
    regression: bool = option(
        False, "custom task: the label is a number to predict.", CUSTOM_GROUP, needs=CUSTOM
    )

    def answer(self):
        """Returns what flags such as --dataset_info ask for (str), None if none of them is given.

        Raises:
          UserError: there is no such data set, or it cannot be read.
        """
        if not (self.list_datasets or self.list_configs or self.dataset_info):
            return None
        check_table(self, {field.name for field in dataclasses.fields(TaskOptions)})
        from bert_tf.data.sources import describing

        return describing.answer(self)


@dataclasses.dataclass(kw_only=True)
class InputOptions(TaskOptions):
    """What a run reads of a task, and what it makes of it."""

    max_seq_length: int = option(
        128,
        "Longer inputs are cut to this many tokens, [CLS] and [SEP] included.",
        GROUP,
        valid=at_least(3),
        same=True,
    )
    truncation: str = option(
        "head",
        "What stays of longer single texts: their first tokens, their last, or a quarter from the"
        " front and the rest from the end (with tfrecord_dir: how its files were cut). Default"
        " without do_train: as fine-tuned.",
        GROUP,
        ("head", "tail", "head_tail"),
        same=True,
    )
    max_train_examples: int | None = option(
        None,
        "Train on the first this many examples only.",
        GROUP,
        valid=at_least(1),
        needs=(DO_TRAIN, FILES),
    )
    data_aug: bool = option(
        False,
        "Train on the variants of the training examples, too, that augment_data.py has written.",
        GROUP,
        needs=(DO_TRAIN, FILES),
        same=True,
    )
    augmented_file: str | None = option(
        None,
        "File with the variants. Default: the one beside the training file, with a teacher's logits"
        " if there are both.",
        GROUP,
        needs=(DO_TRAIN, FILES, _AUGMENTED),
    )
    xnli_language: str = option("zh", "Language of the XNLI files.", GROUP, needs=_XNLI)
    dev_split: str | None = dev_split_option((DATASET, DO_EVAL))
    test_split: str | None = option(
        None,
        "Split of the data set to predict, or several.",
        GROUP,
        valid=parse_splits,
        needs=(DATASET, DO_PREDICT),
    )
    dev_file: str | None = option(
        None, "custom task: file to evaluate on.", CUSTOM_GROUP, needs=(CUSTOM, DO_EVAL)
    )
    test_file: str | None = option(
        None, "custom task: file to predict.", CUSTOM_GROUP, needs=(CUSTOM, DO_PREDICT)
    )
    id_column: str | None = option(
        None,
        "custom task: column of test_file that names its rows in test_results_labels.tsv; they are"
        " numbered from 0 if absent.",
        CUSTOM_GROUP,
        needs=CUSTOM,
    )
    feature_dir: str | None = option(
        None,
        "Folder for tokenised features, reused while nothing changed; in output_dir if absent.",
        GROUP,
        needs=FILES,
    )
    write_tfrecord: bool = option(
        False,
        "Also write the features as Google's train/eval/predict.tf_record.",
        GROUP,
        needs=FILES,
    )
    tfrecord_dir: str | None = option(
        None,
        "Read such TFRecord files from this folder instead of data_dir. Their label_ids are"
        " positions in the task's labels.",
        GROUP,
    )
