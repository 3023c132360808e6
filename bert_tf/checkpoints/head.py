"""What a model's files say about its classifier: task.json, or Hugging Face's keys."""

import dataclasses
import re

from bert_tf.errors import UserError, shown
from bert_tf.task_names import canonical_name

HEAD = ("output_weights", "output_bias")
SPAN_HEAD = ("cls/squad/output_weights", "cls/squad/output_bias")
CONFIG_KEYS = ("architectures", "finetuning_task", "id2label", "label2id", "problem_type")
"""Keys of Hugging Face's config.json that describe a head."""

SENTENCES, WORDS = "sentences", "words"
KINDS = {WORDS: "token_classification"}
"""{what is labelled: how the key `head` of task.json says so}; it is absent for sentences."""

# Theirs have the same tensor names as their classifier of sentences.
_OF_TOKENS = re.compile("ForTokenClassification$")
_OTHER_HEADS = re.compile(
    "For(MultipleChoice|QuestionAnswering|MaskedLM|PreTraining|NextSentencePrediction)$"
)
_PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclasses.dataclass(frozen=True)
class Head:
    """A classifier as its model's files describe it.

    Attributes:
      outputs: rows of output_weights.
      labels: the outputs' names (tuple of str); None for a regression, or if nothing names them.
      regression: whether it predicts a number.
      task_name: canonical name of the task it was trained for; None if nothing says so.
      numbered: whether the files number the labels themselves (id2label), so that a number may
        stand for a name.
      unit: what has a label, `SENTENCES` or `WORDS`.
      fault: why it is no classifier with one label for each of them; None if it is one.
    """

    outputs: int
    labels: tuple[str, ...] | None = None
    regression: bool = False
    task_name: str | None = None
    numbered: bool = False
    unit: str = SENTENCES
    fault: str | None = None

    def text(self):
        """What the head is for, for messages: `task custom with 2 outputs (labels neg, pos)`."""
        what = "a score" if self.regression else "labels without names"
        if self.labels:
            what = f"labels {listed(self.labels)}"
        task = f"task {self.task_name}" if self.task_name else "an unrecorded task"
        of = f" of {self.unit}" if self.unit != SENTENCES else ""
        return f"{task} with {outputs_text(self.outputs)}{of} ({what})"


def describe(model):
    """Returns the `Head` of a `LoadedModel`, None if it has none.

    Raises:
      UserError: task.json or the configuration contradicts itself or the weights.
    """
    if model.arrays is None or HEAD[0] not in model.arrays:
        return None
    outputs = len(model.arrays[HEAD[1]])
    if model.task is not None:
        return of_task(model.task, outputs, f"{model.source}: task.json")
    return of_config(model.config.extra, outputs, f"{model.source}: the configuration")


def of_task(task, outputs, where):
    """Returns the `Head` that the dict of task.json describes.

    Args:
      task: the dict.
      outputs: rows of output_weights.
      where: the file, for errors.

    Raises:
      UserError: its labels are not as many different names as there are outputs.
    """
    name = task.get("task_name")
    name = name if isinstance(name, str) else None
    kind = task.get("head")
    unit = next((unit for unit, value in KINDS.items() if value == kind), SENTENCES)
    if kind is not None and unit == SENTENCES:
        return Head(outputs, task_name=name, fault=f"a head of the kind {shown(str(kind))}")
    if "labels" not in task:
        return Head(outputs, regression=outputs == 1, task_name=name)
    labels = task["labels"]
    if labels is None and outputs == 1 and unit == SENTENCES:
        return Head(outputs, regression=True, task_name=name)
    names = _names(labels) if isinstance(labels, list) else None
    if names is None or len(names) != outputs:
        raise UserError(
            f"{where}: labels must be {outputs} different names, as many as output_weights has"
            f" rows{' (null is for one row, a regression)' if labels is None else ''}, found"
            f" {shown(str(labels))}: give the model its own task.json"
        )
    return Head(outputs, names, task_name=name, unit=unit)


def of_config(extra, outputs, where):
    """Returns the `Head` that Hugging Face's `CONFIG_KEYS` describe.

    Args:
      extra: dict that may hold some of them, such as `BertConfig.extra`.
      outputs: rows of output_weights.
      where: the file, for errors.

    Raises:
      UserError: id2label or label2id does not name each output once, they contradict each other,
        or problem_type is unknown.
    """
    architecture = _architecture(extra)
    if architecture and _OTHER_HEADS.search(architecture):
        return Head(outputs, fault=f"the head of a {architecture}")
    kind = extra.get("problem_type")
    if kind not in (None, *_PROBLEM_TYPES):
        raise UserError(
            f"{where}: problem_type must be one of {', '.join(_PROBLEM_TYPES)}, or left out; found"
            f" {shown(str(kind))}"
        )
    labels = _label_names(extra, outputs, where)
    if architecture and _OF_TOKENS.search(architecture):
        return Head(outputs, labels, numbered=labels is not None, unit=WORDS)
    if kind == "multi_label_classification":
        return Head(outputs, labels, fault=f"the head of a {kind}, where a text has many labels")
    regression = kind == "regression" or (kind is None and outputs == 1)
    if regression and outputs != 1:
        return Head(outputs, fault=f"a regression of {outputs} scores at once")
    return Head(
        outputs,
        None if regression else labels,
        regression,
        _task_name(extra.get("finetuning_task")),
        numbered=labels is not None,
    )


def to_config(config, arrays, task, where):
    """Returns the `CONFIG_KEYS` for config.json: those of the task, else those of `config`.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}.
      task: dict of task.json, or None.
      where: the folder, for errors.

    Raises:
      UserError: see `of_task` and `of_config`.
    """
    if HEAD[0] not in arrays:
        return {}
    outputs = len(arrays[HEAD[1]])
    if task is None:
        head = of_config(config.extra, outputs, f"{where}: the configuration")
        keys = {key: config.extra[key] for key in CONFIG_KEYS if key in config.extra}
        if head.fault and "id2label" in keys:
            return keys
        return {**keys, **_both_ways(head.labels or _defaults(outputs))}
    head = of_task(task, outputs, f"{where}: task.json")
    if head.unit == WORDS:
        names = head.labels or _defaults(outputs)
        return {"architectures": ["BertForTokenClassification"], **_both_ways(names)}
    kind = "regression" if head.regression else "single_label_classification"
    return {
        "architectures": ["BertForSequenceClassification"],
        "problem_type": kind,
        **({"finetuning_task": head.task_name} if head.task_name else {}),
        **_both_ways(head.labels or _defaults(outputs)),
    }


def without_names(config, arrays, task):
    """Returns `config` without `CONFIG_KEYS` where they are stale: no head, or a task.json.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}, or None.
      task: dict of task.json, or None.
    """
    if arrays is not None and HEAD[0] in arrays and task is None:
        return config
    return config.replace(extra={k: v for k, v in config.extra.items() if k not in CONFIG_KEYS})


def without_head(model, reason):
    """Returns the `LoadedModel` without head and task; `left` says why."""
    arrays = {name: array for name, array in model.arrays.items() if name not in HEAD}
    left = {**model.left, **{name: reason for name in HEAD if name in model.arrays}}
    config = without_names(model.config, arrays, None)
    return dataclasses.replace(model, config=config, arrays=arrays, task=None, left=left)


def _architecture(extra):
    """The class that config.json names, None if it names none."""
    names = extra.get("architectures")
    names = names if isinstance(names, list) else [names]
    return next((name for name in names if isinstance(name, str)), None)


def _task_name(name):
    if not isinstance(name, str):
        return None
    return "custom" if name == "custom" else canonical_name(name)


def _names(values):
    """The values as stripped, different, non-empty names, None if they are not."""
    if not all(isinstance(value, str) or type(value) is int for value in values):
        return None
    names = tuple(str(value).strip() for value in values)
    return names if all(names) and len(set(names)) == len(names) else None


def _label_names(extra, outputs, where):
    """The names in id2label, else in label2id; None if they are missing or LABEL_0, LABEL_1, ..."""
    ids, names = extra.get("id2label"), extra.get("label2id")
    by_id = None if ids is None else _outputs_named("id2label", ids, outputs, where)
    if isinstance(names, dict) and all(k == f"LABEL_{v}" for k, v in names.items()):
        return by_id if by_id != _defaults(outputs) else None  # what transformers fills in itself
    by_name = None if names is None else _outputs_named("label2id", names, outputs, where)
    if by_id and by_name and by_id != by_name:
        raise UserError(
            f"{where}: label2id says {listed(by_name)} and id2label {listed(by_id)}: correct the"
            " wrong one, or delete it"
        )
    found = by_id or by_name
    return found if found != _defaults(outputs) else None


def _outputs_named(key, value, outputs, where):
    """The names (tuple) of outputs 0 to `outputs` - 1 in id2label or label2id."""
    pairs = list(value.items()) if isinstance(value, dict) else []
    if key == "label2id":
        pairs = [(i, name) for name, i in pairs]
    by_id = {str(i).strip(): name for i, name in pairs if not isinstance(i, bool | float)}
    names = _names(by_id.values())
    wanted = [str(i) for i in range(outputs)]
    if names and len(pairs) == outputs and set(by_id) == set(wanted):
        by_id = dict(zip(by_id, names, strict=True))
        return tuple(by_id[i] for i in wanted)
    numbers = "0" if outputs == 1 else f"0 to {outputs - 1}"
    raise UserError(
        f"{where}: {key} must give each of the classifier's {outputs} outputs, numbered {numbers},"
        f" a name of its own, found {shown(str(value))}: correct it, or delete id2label and"
        " label2id, and the names count as unknown"
    )


def _defaults(outputs):
    return tuple(f"LABEL_{i}" for i in range(outputs))


def _both_ways(names):
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }


def outputs_text(count):
    """Returns `1 output`, `2 outputs`, ..."""
    return f"{count} output{'s' if count > 1 else ''}"


def listed(labels):
    """Returns the first names of `labels`, for messages."""
    return ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
