"""Which rows a run was measured on: metrics on others are not compared with it."""

import os

from bert_tf.report.entry import text
from bert_tf.task_names import canonical_name

_OF_A_SET = ("dev_split", "dev_fraction", "split_seed", "train_split")
_PLACES = ("dev_file", "predict_file", "data_dir", "tfrecord_dir")


def of(options, task):
    """Returns a text that is the same for the same rows; None where the task's name says them.

    Args:
      options: flags of results.json.
      task: name of the task.
    """
    dataset, label = text(options.get("dataset")), text(options.get("label_column"))
    label = f" label_column={label}" if label else ""
    if dataset:
        drawn = options.get("dev_fraction") is not None
        names = _OF_A_SET if drawn else _OF_A_SET[:1]
        found = [f"{x}={options[x]}" for x in names if options.get(x) is not None]
        return " ".join([dataset, *found]) + label
    if canonical_name(task or ""):
        language = text(options.get("xnli_language")) if task == "xnli" else None
        return language and f"language {language}"
    place = next((found for name in _PLACES if (found := text(options.get(name)))), None)
    negative = " with unanswerable" * (options.get("version_2_with_negative") is True)
    return place and (os.path.realpath(place) + label + negative)


def shown(data):
    """Returns it as a table has it: of a path the last two names."""
    return "/".join(data.split("/")[-2:]) if data.startswith("/") else data
