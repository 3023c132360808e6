"""TFRecord files of features as a run reads them: do they fit its task and its model?"""

from bert_tf import files
from bert_tf.checkpoints import head, head_matching
from bert_tf.checkpoints.model_folder import TASK_FILE
from bert_tf.data import tfrecord
from bert_tf.errors import UserError


def read(path, task, vocab_size, max_seq_length):
    """Returns the `FeatureStore` of a TFRecord file.

    Args:
      path: the file (`pathlib.Path`).
      task: `Task` whose positions its label_ids are.
      vocab_size: tokens of the vocabulary.
      max_seq_length: tokens that an example may have.

    Raises:
      UserError: the file is damaged, was made for another vocabulary, length or task, or the
        task.json beside it says that the labels had other positions.
    """
    labels = task.labels
    _check_positions(path.parent, task)
    store = tfrecord.read_tfrecord(
        path, regression=labels is None, num_labels=len(labels or ()) or None
    )
    for what, found, limit in (
        ("token id", int(store.ids.max()), vocab_size - 1),
        ("example length", int(store.lengths.max()), max_seq_length),
    ):
        if found > limit:
            raise UserError(
                f"{path}: found {what} {found}, expected {limit} at most: the file was made"
                " with another vocabulary or --max_seq_length"
            )
    return store


def _check_positions(folder, task):
    """Refuses TFRecord files of a run whose labels, by its task.json, had other positions."""
    path = folder / TASK_FILE
    if not path.exists():
        return
    saved = files.read_json(path, "task description")
    labels = saved.get("labels")
    written = head.of_task(saved, len(labels) if labels and isinstance(labels, list) else 1, path)
    order, _ = head_matching.order_of(written, task)
    if order is None or order != sorted(order):
        found = "scores" if task.labels is None else f"labels {head.listed(task.labels)}"
        raise UserError(
            f"{path}: the label_ids of the TFRecord files beside it are those of {written.text()},"
            f" and task {task.name} has {found}: name the task and the --labels they were written"
            " with"
        )
