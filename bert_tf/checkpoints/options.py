"""Flags that name a model to start from, parts of several programs' (no TensorFlow)."""

import dataclasses

from bert_tf.errors import UserError
from bert_tf.options import option, refuse_if

GROUP = "Model"


def model_flag(group=GROUP, name="model_dir"):
    """The field `model` of a program whose flag `name` it is another spelling of."""
    return option(
        None,
        "Model to start from: a model folder, a Hugging Face folder, the id of a model in the"
        " cache of Hugging Face's hub (sentence-transformers/all-MiniLM-L6-v2), Google's unpacked"
        f" download, or the prefix of a checkpoint. Nothing is downloaded. --{name} is the same.",
        group,
    )


def one_spelling(options, name="model_dir"):
    """Makes `--model` of `options` what the flag `name` is: to be called in `__post_init__`.

    Raises:
      UserError: both are given.
    """
    if options.model is None:
        return
    other = getattr(options, name)
    refuse_if(bool(other), f"--model and --{name} are the same: give one of them")
    setattr(options, name, options.model)
    options.model = None
    options.given = options.given - {"model"} | {name}


@dataclasses.dataclass(kw_only=True)
class ModelFiles:
    """A model, or its files one by one; a program adds the flag of the checkpoint."""

    model: str | None = model_flag()
    model_dir: str | None = option(
        None,
        "Another spelling of --model: shorthand for the next three flags. Any format that"
        " convert_checkpoint.py reads will do.",
        GROUP,
    )
    bert_config_file: str | None = option(None, "bert_config.json of the model.", GROUP)
    vocab_file: str | None = option(None, "vocab.txt that the model was trained on.", GROUP)

    def __post_init__(self):
        one_spelling(self)


@dataclasses.dataclass(kw_only=True)
class ModelOptions(ModelFiles):
    """The model that a training starts from."""

    init_checkpoint: str | None = option(
        None, "Initial weights (checkpoint prefix or folder); random when absent.", GROUP
    )


@dataclasses.dataclass(kw_only=True)
class CheckpointOptions(ModelFiles):
    """The model that a program makes another one of."""

    checkpoint: str | None = option(
        None,
        "Checkpoint of the model, a prefix or a folder; bert_config.json and vocab.txt are those"
        " beside it unless the flags above name others.",
        GROUP,
    )

    def check_model(self, what):
        """Raises `UserError` unless one flag names the model, which is `what` to the program."""
        if bool(self.model_dir) == bool(self.checkpoint):
            raise UserError(f"give one of --model_dir and --checkpoint: {what}")
