"""Does the classifier of a model fit the task of a run, and in which order are its outputs?"""

import dataclasses
import re

from absl import logging

from bert_tf.checkpoints.head import (
    HEAD,
    describe,
    listed,
    outputs_text,
    without_head,
    without_names,
)
from bert_tf.errors import UserError

# The same three relations, in other genres and languages.
_FAMILIES = {"mnli-mm": "mnli", "xnli": "mnli"}


def matched(model, task, numbers_agree=False):
    """Puts the head of a model in the order of a task's labels, or leaves it out.

    A head fits if it predicts the same kind of thing, was not trained for another official task,
    and names the same labels. Labels that nothing names are assumed to be the task's, with a
    warning.

    Args:
      model: `LoadedModel`; without weights or head it is returned as it is.
      task: `Task` of the run, whose `unit` says what is labelled.
      numbers_agree: whether scores and labels that are numbers mean the same in an official and a
        custom task, which nothing tells.

    Returns:
      A `LoadedModel` whose head and task.json are in the task's order, or one without head, whose
      `left` says why.

    Raises:
      UserError: see `describe`.
    """
    head = describe(model)
    if head is None:
        return model
    order, note = order_of(head, task, numbers_agree)
    if order is None:
        return without_head(model, note)
    if note:
        logging.warning("%s: %s", model.source, note)
    arrays = model.arrays
    if order != [*range(head.outputs)]:
        logging.info(
            "%s: its outputs (%s) were put in the order of the task's labels (%s)",
            model.source, listed(head.labels), listed(task.labels),
        )  # fmt: skip
        arrays = {**arrays, **{name: arrays[name][order] for name in HEAD}}
    saved = {**(model.task or {}), **task.to_json()}
    config = without_names(model.config, arrays, saved)
    return dataclasses.replace(model, config=config, arrays=arrays, task=saved)


def require(model, task, advice):
    """Raises `UserError` if the `matched` model has no head; `advice` says what to do."""
    if model.arrays is not None and HEAD[0] in model.arrays:
        return
    if HEAD[0] in model.left:
        raise UserError(f"{model.source}: its classifier is {model.left[HEAD[0]]}: {advice}")
    raise UserError(
        f"{model.source}: holds no classifier for the {len(task.labels or [1])} outputs of task"
        f" {task.name}: {advice}"
    )


def order_of(head, task, numbers_agree=False):
    """Returns (the head's output for each of the task's labels or None, what to say or None).

    Args:
      head: `Head`.
      task: `Task`.
      numbers_agree: see `matched`.
    """
    if head.fault:
        return None, f"{head.fault}, not for {task.unit} with one label each"
    if head.unit != task.unit:
        return None, (
            f"for {head.text()}, the data are of task {task.name} with a label for each of its"
            f" {task.unit}"
        )
    wanted = "a score" if task.labels is None else f"labels {listed(task.labels)}"
    count = outputs_text(len(task.labels or [1]))
    differs = None, f"for {head.text()}, the data are of task {task.name} with {count} ({wanted})"
    known = (_family(head.task_name), _family(task.name))
    same, told = known[0] == known[1], None not in known
    if head.regression != (task.labels is None) or (told and not same and "custom" not in known):
        return differs
    if head.labels is None and not head.regression:
        if head.outputs != len(task.labels):
            return differs
        return [*range(head.outputs)], (
            f"nothing names the outputs of its classifier: taken as {listed(task.labels)}, in this"
            " order; if it was trained with another one, the answers are wrong"
        )
    order, note = ([0], None) if head.regression else _by_name(head, task)
    if order is None or same or note or not _numbers(head):
        return (order, note) if order else differs
    if told and not numbers_agree:
        return differs
    return order, (
        f"trained for {head.text()}: assumed to mean the same in task {task.name}; if they do not,"
        " the answers are wrong: give a model fine-tuned on these labels"
    )


def _by_name(head, task):
    """`order_of` for labels with names; case counts only if it tells names apart."""
    for form in (str.strip, lambda name: name.strip().casefold()):
        places = {form(name): i for i, name in enumerate(head.labels)}
        names = [form(name) for name in task.labels]
        if len(places) == len(head.labels) == len(names) and set(places) == set(names):
            return [places[name] for name in names], None
    numbers = [str(i) for i in range(head.outputs)]
    words = not any(re.fullmatch(r"(LABEL_)?[+-]?\d+", name) for name in head.labels)
    if not (head.numbered and words and head.task_name != "custom"):
        return None, None
    if sorted(numbers) != sorted(task.labels):
        return None, None
    pairs = ", ".join(f"{name} = {i}" for i, name in enumerate(head.labels[:8]))
    note = f"the task's labels are numbers, taken as those of the model's id2label: {pairs}"
    return [int(label) for label in task.labels], note


def _numbers(head):
    """Whether the head's outputs are a score or labels that mean something in their task only."""
    return head.regression or all(re.fullmatch(r"[+-]?\d+", name) for name in head.labels)


def _family(name):
    return _FAMILIES.get(name, name)
