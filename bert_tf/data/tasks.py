"""The registry of tasks: by name, from task.json, or made of a user's own files."""

import dataclasses
import re

from bert_tf.data import documents, glue
from bert_tf.data.custom import COLUMNS, custom_task
from bert_tf.data.task import Task
from bert_tf.errors import UserError
from bert_tf.task_names import TASK_NAMES, canonical_name

__all__ = ["TASK_NAMES", "Task", "custom_task", "get_task", "task_from_json"]

_TASKS = {
    "cola": glue.cola,
    "mnli": glue.mnli,
    "mnli-mm": glue.mnli_mismatched,
    "mrpc": glue.mrpc,
    "qnli": glue.qnli,
    "qqp": glue.qqp,
    "rte": glue.rte,
    "sst-2": glue.sst2,
    "sts-b": glue.stsb,
    "wnli": glue.wnli,
    "xnli": glue.xnli,
    "ag": documents.ag,
    "dbpedia": documents.dbpedia,
    "imdb": documents.imdb,
    "sogou": documents.sogou,
    "trec": documents.trec,
    "yahoo": documents.yahoo,
    "yelp-f": documents.yelp_full,
    "yelp-p": documents.yelp_polarity,
}


def get_task(name, language="zh"):
    """Returns the `Task` called `name`.

    Args:
      name: one of `TASK_NAMES` in any case, or an alias such as sst2, STS_B, ag_news.
      language: XNLI's, a two-letter code; without meaning for the other tasks.

    Raises:
      UserError: no such task, or no language code.
    """
    key = canonical_name(name)
    if key is None:
        raise UserError(
            f"--task_name={name}: unknown task, expected one of {', '.join(TASK_NAMES)}, custom"
        )
    if key != "xnli":
        return _TASKS[key]()
    if not isinstance(language, str) or not re.fullmatch("[a-z]{2}", language):
        raise UserError(f"--xnli_language={language}: expected a two-letter code, such as zh")
    return glue.xnli(language)


def task_from_json(value, *, train_file=None, dev_file=None, test_file=None):
    """Restores the task that `Task.to_json` described.

    Args:
      value: the dict of task.json.
      train_file, dev_file, test_file: files of a custom task.

    Returns:
      `Task` with the labels in the order of the dict, which is that of the model's outputs.

    Raises:
      UserError: no task of this project is described.
    """
    name, labels = value.get("task_name"), value.get("labels")
    if not isinstance(name, str):
        raise UserError("task.json: no task_name, expected the name of a task")
    if labels is not None and not (
        isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    ):
        raise UserError("task.json: labels must be a list of text, or null for regression")
    if name == "custom":
        return custom_task(
            train_file,
            dev_file,
            test_file,
            **{column: value.get(column) for column in COLUMNS},
            labels=labels,
            regression=labels is None,
        )
    if canonical_name(name) is None:
        known = ", ".join(TASK_NAMES)
        raise UserError(
            f"task.json: task_name {name!r} is an unknown task, expected one of {known}, custom:"
            " give --task_name"
        )
    task = get_task(name, value.get("language", "zh"))
    if "labels" not in value:
        return task
    if sorted(labels or ()) != sorted(task.labels or ()):
        raise UserError(
            f"task.json: the labels of task {name} are {task.labels and list(task.labels)},"
            f" found {labels}: correct the file, or give --task_name and a model with these labels"
        )
    return dataclasses.replace(task, labels=None if labels is None else tuple(labels))
