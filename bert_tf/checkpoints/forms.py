"""The files of a model folder in each form, and which folders a writer may replace."""

import contextlib
import dataclasses
import os
import pathlib

from bert_tf import folders
from bert_tf.checkpoints import google, tokenizer_files
from bert_tf.errors import UserError

CONFIG_FILE = "bert_config.json"
VOCAB_FILE = "vocab.txt"
TASK_FILE = "task.json"
ORIGIN_FILE = "origin.json"
CHECKPOINT = "bert_model.ckpt"

HUGGINGFACE_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
)
# By these, a folder is taken for a Hugging Face model, or its text is tokenised as they say.
HUGGINGFACE_FILES = (
    "config.json",
    *HUGGINGFACE_WEIGHTS,
    *tokenizer_files.FILES,
)
# What a refused folder is called, by the first of these that it holds.
_KINDS = {
    "training_state.json": "a training run",
    "checkpoints": "a training run",
    "config.json": "a Hugging Face model",
    CONFIG_FILE: "a model",
}
_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class Form:
    """The files that one writer leaves in a folder.

    Attributes:
      required: names that are always there.
      optional: names that may be.
      checkpoint: file name of the TensorFlow checkpoint without suffix, None without one.
      object_based: whether that is tf-models-official's kind.
    """

    required: frozenset
    optional: frozenset = frozenset()
    checkpoint: str | None = None
    object_based: bool = False


HUGGINGFACE = Form(
    frozenset({"config.json", "model.safetensors", tokenizer_files.CONFIG_FILE}),
    frozenset({VOCAB_FILE}),
)


def model_folder(checkpoint=CHECKPOINT, also=(), object_based=False):
    """Returns the `Form` of a model folder; `also`: names that the writer adds to it."""
    weights = checkpoint_files(checkpoint)
    return Form(
        frozenset({CONFIG_FILE, *weights, *also}),
        frozenset({VOCAB_FILE, TASK_FILE, ORIGIN_FILE}),
        checkpoint,
        object_based,
    )


def checkpoint_files(checkpoint=CHECKPOINT):
    """Returns the file names (list) of a checkpoint that is written here: data, index."""
    return [f"{checkpoint}.data-00000-of-00001", f"{checkpoint}.index"]


def check_output(folder, form, flag="output_dir"):
    """Refuses, before any work, a folder that must not be replaced by a model of `form`.

    One that is absent or empty is free; one that holds all the files of that form, and no others,
    is an earlier output of the same program.

    Raises:
      UserError: it is a file, or holds anything else; the message names `--flag` and what is there.
    """
    folder = pathlib.Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--{flag}={folder}: is a file, expected a folder")
    found = sorted(os.listdir(folder)) if folder.exists() else []
    if not found:
        return
    strange = [name for name in found if name not in form.required | form.optional]
    missing = sorted(form.required - set(found))
    if strange:
        why = "which this program does not write" if len(strange) > 1 else "not of this program"
        _refuse(flag, folder, found, f"{_listed(strange)}, {why}")
    if missing:
        _refuse(flag, folder, found, f"{_listed(found)} and no {missing[0]}")
    if form.checkpoint and google.is_object_based(folder / form.checkpoint) != form.object_based:
        kind = "name-based" if form.object_based else "object-based (tf-models-official)"
        _refuse(flag, folder, found, f"the {kind} {form.checkpoint}")


@contextlib.contextmanager
def output(folder, form, flag="output_dir"):
    """Context: yields an empty folder to write a model to; on success it replaces `folder` whole.

    Raises:
      UserError: as `check_output` and `folders.replaced` do; `folder` is then untouched.
    """
    check_output(folder, form, flag)
    with folders.replaced(folder) as new:
        yield new


def check_no_other_form(folder, names=HUGGINGFACE_FILES, flag="output_dir"):
    """Refuses a folder that holds one of `names`: a reader could take them for the model's own.

    Raises:
      UserError: naming `--flag` and what was found.
    """
    folder = pathlib.Path(folder)
    found = [name for name in names if (folder / name).exists()]
    if found:
        _refuse(flag, folder, found, _listed(found))


def _refuse(flag, folder, found, what):
    kind = next((kind for name, kind in _KINDS.items() if name in found), "files")
    raise UserError(
        f"--{flag}={folder}: holds {kind} already ({what}), and a folder holds one model: name"
        " another folder, or empty this one"
    )


def _listed(names):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
