"""A model on disk, whoever wrote it: recognised, read, and written as a model folder."""

import dataclasses
import os
import pathlib

import numpy as np

from bert_tf import files, folders
from bert_tf.checkpoints import (
    bundle,
    copying,
    finite,
    forms,
    google,
    head,
    huggingface,
    resolve,
    shapes,
    tensor_files,
    tf_models,
    tokenizer_files,
)
from bert_tf.checkpoints.forms import CHECKPOINT, CONFIG_FILE, TASK_FILE, VOCAB_FILE
from bert_tf.config import BertConfig
from bert_tf.errors import UserError

_MARKS = (f"{CHECKPOINT}.index", *forms.HUGGINGFACE_WEIGHTS)  # files of a model
POOLER = "bert/pooler/dense/kernel"


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
      config: `BertConfig`.
      arrays: {Google name: float32 array}.
      source: the path it was read from and its kind, for reports.
      vocab_file: path of vocab.txt (str), or None.
      task: the dict of task.json, or None for a pretrained model.
      do_lower_case: what the folder records about its text, or None; the tokenizer's other settings
        are in `config.extra`.
      left: {name: reason} of what the files hold and the arrays do not.
      path: the folder or checkpoint prefix, None for a model without.
      remarks: list of str, what else a report should say of how the files were read.
    """

    config: BertConfig
    arrays: dict[str, np.ndarray]
    source: str
    vocab_file: str | None = None
    task: dict | None = None
    do_lower_case: bool | None = None
    left: dict = dataclasses.field(default_factory=dict)
    path: str | None = None
    remarks: list = dataclasses.field(default_factory=list)


def load_model(path, config_file=None, vocab_file=None):
    """Reads a model, recognising its kind.

    Args:
      path: a model folder, Google's downloaded folder, a Hugging Face folder or the id of one in
        the hub's cache, or the prefix of a Google or tf-models-official checkpoint; see
        `resolve.find`.
      config_file: bert_config.json; None takes the one beside the checkpoint. A Hugging Face
        folder has its own.
      vocab_file: None takes the vocab.txt beside the checkpoint, if there is one.

    Returns:
      A `LoadedModel`, its shapes checked against its configuration.

    Raises:
      UserError: nothing recognised there (the message lists what was looked for), a file is
        missing, truncated or corrupt, the shapes differ, or a weight is not finite.
    """
    given, path = path, resolve.find(path)
    for file, flag in ((config_file, "bert_config_file"), (vocab_file, "vocab_file")):
        if file and not pathlib.Path(file).is_file():
            raise UserError(f"--{flag}={file}: no such file")
    _refuse_adapter(path)
    if path.is_dir() and is_huggingface(path):
        if config_file:
            raise UserError(
                f"--bert_config_file={config_file}: {path} is a Hugging Face folder, which has its"
                " own config.json: leave the flag out"
            )
        folder, kind = path, "Hugging Face folder"
        config, arrays, left, remarks = huggingface.read_with_remarks(path)
    else:
        prefix = _find_checkpoint(path, given)
        folder = pathlib.Path(prefix).parent
        kind, config, arrays, left, remarks = _read_checkpoint(prefix, folder, config_file)
        others = [name for name in forms.HUGGINGFACE_WEIGHTS if (folder / name).exists()]
        left = {**left, **dict.fromkeys(others, f"not read beside {pathlib.Path(prefix).name}")}
        settings = tokenizer_files.read_settings(folder)  # the configuration's own win
        config = config.replace(extra={**settings, **config.extra})
    if path != pathlib.Path(given):
        remarks = [*remarks, f"read in {path}"]
    finite.check(arrays, path)
    task = _read_task(folder)
    recorded = (task or {}).get("do_lower_case", config.extra.get("do_lower_case"))
    beside = folder / VOCAB_FILE
    return LoadedModel(
        config=config,
        arrays=arrays,
        source=f"{given} ({kind})",
        vocab_file=os.fspath(vocab_file or beside) if vocab_file or beside.is_file() else None,
        task=task,
        do_lower_case=recorded if isinstance(recorded, bool) else None,
        left=left,
        path=os.fspath(path),
        remarks=remarks,
    )


def save_model_folder(path, config, arrays, vocab_file=None, task=None, checkpoint=CHECKPOINT):
    """Writes the files of a model into a folder, which may hold others (those of a training run).

    An older model there is gone: what the new one lacks (vocabulary, task) is removed. A folder of
    nothing but a model is replaced whole by `forms.output`.

    Args:
      path: the folder, made if need be.
      config: `BertConfig`; what is known about lower-casing is `config.extra["do_lower_case"]`.
      arrays: {Google name: array}.
      vocab_file: copied as vocab.txt, or None.
      task: dict of task.json, or None.
      checkpoint: file name of the checkpoint without suffix.

    Returns:
      The folder (`pathlib.Path`).

    Raises:
      UserError: the arrays do not fit the configuration or are not finite, the folder holds a
        model in Hugging Face's form, or it cannot be written; its files are then as they were.
    """
    folder = pathlib.Path(path)
    shapes.check_shapes(config, arrays, folder)
    config = head.without_names(config, arrays, task)
    finite.check(arrays, folder)
    files.make_output_dir(folder, "output_dir")
    forms.check_no_other_form(folder)
    names = [CONFIG_FILE, VOCAB_FILE, TASK_FILE, *forms.checkpoint_files(checkpoint)]
    with folders.updated(folder, names) as new:
        google.write_checkpoint(new / checkpoint, arrays)
        write_description(new, config, vocab_file, task)
    return folder


def write_description(folder, config, vocab_file=None, task=None):
    """Writes what stands beside the checkpoint of a model folder.

    Args:
      folder, config, vocab_file, task: see `save_model_folder`.

    Raises:
      UserError: a file cannot be written.
    """
    folder = pathlib.Path(folder)
    config.save(folder / CONFIG_FILE)
    if vocab_file:
        copying.copy_file(vocab_file, folder / VOCAB_FILE)
    if task is not None:
        files.write_json(folder / TASK_FILE, task)


def require_pooler(model):
    """Raises UserError if a `LoadedModel` cannot be used as a classifier for want of its pooler."""
    if "output_weights" in model.arrays and POOLER not in model.arrays:
        raise UserError(
            f"{model.source}: holds no pooler ({POOLER}), through which its classifier sees the"
            " text: give a fine-tuned model with its pooler, or train it"
        )


def is_huggingface(folder):
    """Whether `folder` (`pathlib.Path`) is a Hugging Face one; a model folder's checkpoint wins."""
    if (folder / f"{CHECKPOINT}.index").exists():
        return False
    return (folder / "config.json").exists() or tensor_files.has_weights(folder)


def _find_checkpoint(path, given):
    try:
        return bundle.find_prefix(path)
    except UserError as e:
        if any(path.parent.glob(f"{path.name}.*")):  # half a checkpoint: the message says which
            raise
        raise UserError(
            f"{e}; looked for {CHECKPOINT}.index and .data-*, a file named checkpoint, and"
            " config.json with model.safetensors, pytorch_model.bin or tf_model.h5"
            f"{_below(path)}{resolve.hint(given)}"
        ) from e


def _below(folder):
    """What to say of models in a folder's folders, such as an unpacked archive has."""
    found = [f.parent.name for f in sorted(folder.glob("*/*")) if f.name in _MARKS]
    return f"; there is a model in its folder {found[0]}: give that" if found else ""


def _refuse_adapter(path):
    adapter = path / "adapter_config.json"
    if adapter.is_file():
        raise UserError(
            f"{adapter}: the folder holds an adapter (LoRA or the like), expected a whole model:"
            " merge it into the model (merge_and_unload of peft) and save that"
        )


def _read_checkpoint(prefix, folder, config_file):
    """Returns (kind, config, arrays, left, remarks) of Google's or tf-models-official's files."""
    config_path = pathlib.Path(config_file) if config_file else folder / CONFIG_FILE
    config = BertConfig.from_json_file(config_path) if config_path.exists() else None
    if google.is_object_based(prefix):
        return "tf-models-official checkpoint", *tf_models.read(prefix, config), []
    if config is None:
        raise UserError(
            f"{config_path}: no such file beside the checkpoint: name it with --bert_config_file"
        )
    arrays, left, remarks = google.read_with_remarks(prefix)
    shapes.check_shapes(config, arrays, prefix)
    return "Google checkpoint", config, arrays, left, remarks


def _read_task(folder):
    path = folder / TASK_FILE
    task = files.read_json(path, "task description") if path.exists() else None
    tokenizer_files.check_settings(path, task or {})
    return task
