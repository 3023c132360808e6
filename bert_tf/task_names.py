"""What tasks are called: names only, which the files of a model and of a data set share."""

import pathlib

from bert_tf.errors import UserError

TASK_NAMES = (
    "cola",
    "mnli",
    "mnli-mm",
    "mrpc",
    "qnli",
    "qqp",
    "rte",
    "sst-2",
    "sts-b",
    "wnli",
    "xnli",
    "ag",
    "dbpedia",
    "imdb",
    "sogou",
    "trec",
    "yahoo",
    "yelp-f",
    "yelp-p",
)

_ALIASES = {
    "sst2": "sst-2",
    "sst": "sst-2",
    "stsb": "sts-b",
    "sts": "sts-b",
    "mnli-m": "mnli",
    "mnli-matched": "mnli",
    "mnli-mismatched": "mnli-mm",
    "ag-news": "ag",
    "agnews": "ag",
    "yelp-full": "yelp-f",
    "yelp-polarity": "yelp-p",
}


def canonical_name(name):
    """Returns the one of `TASK_NAMES` that `name`, in any case or an alias, means, else None."""
    key = name.strip().lower().replace("_", "-")
    key = _ALIASES.get(key, key)
    return key if key in TASK_NAMES else None


def task_folder(data_dir, task):
    """Returns the folder (`pathlib.Path`) of a task's files among those of several tasks.

    It is the one that has the task's name, written in any way: glue_data/CoLA, glue_data/SST-2. A
    folder that has files and none of a task's name is that of the task itself.

    Args:
      data_dir: folder of the tasks' folders.
      task: one of `TASK_NAMES`.

    Raises:
      UserError: there is none, or more than one.
    """
    data_dir = pathlib.Path(data_dir)
    if not data_dir.is_dir():
        raise UserError(f"--data_dir={data_dir}: no such folder")
    inside = sorted(data_dir.iterdir())
    named = {path: _of_folder(path.name) for path in inside if path.is_dir()}
    wanted = _of_folder(task)
    found = [path for path, name in named.items() if name == wanted]
    if len(found) > 1:
        raise UserError(
            f"--data_dir={data_dir}: {' and '.join(path.name for path in found)} are both folders"
            f" of task {task}: leave one of them"
        )
    if found:
        return found[0]
    tasks = [path.name for path, name in named.items() if name]
    if not tasks and any(path.is_file() for path in inside):
        return data_dir
    raise UserError(
        f"--data_dir={data_dir}: no folder of task {task}, expected one with the task's name: found"
        f" {', '.join(tasks) or 'none'}"
    )


def _of_folder(name):
    """The task whose files a folder of this name has, None if it is none's."""
    name = canonical_name(name)
    return "mnli" if name == "mnli-mm" else name
