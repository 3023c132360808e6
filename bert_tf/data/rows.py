"""The flags of programs that read a task's rows to go by, and train nothing."""

import dataclasses

from bert_tf.data.options import InputOptions

DEFAULT_LENGTH = 128


@dataclasses.dataclass(kw_only=True)
class RowOptions(InputOptions):
    """What such a program reads: the training rows alone, unless it says otherwise."""

    given: frozenset = frozenset()
    do_train: bool = True
    do_eval: bool = False
    do_predict: bool = False
    pad_to_max_length: bool = False


def options_of(model, flags, max_seq_length=None, **wanted):
    """Returns the `RowOptions` that read rows as a model was fine-tuned on them.

    Args:
      model: `LoadedModel`, fine-tuned or not.
      flags: {name: value} of `InputOptions` that say which task and where its files are; the task
        is the model's own if it is absent.
      max_seq_length: rows are cut to this many tokens; as the model was fine-tuned, else 128.
      wanted: `do_train` and `do_eval`, which rows are read.
    """
    saved, flags = model.task or {}, dict(flags)
    if (flags.get("task_name") or "").lower() == saved.get("task_name"):
        del flags["task_name"]  # the folder also knows the order of the labels
    return RowOptions(
        max_seq_length=max_seq_length or saved.get("max_seq_length", DEFAULT_LENGTH),
        truncation=saved.get("truncation", "head"),
        given=frozenset({*flags, "max_seq_length"}),
        **flags,
        **wanted,
    )
