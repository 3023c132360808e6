"""Flags that name a model to start from, parts of several programs' (no TensorFlow)."""

import dataclasses

from bert_tf.errors import UserError
from bert_tf.options import option

GROUP = "Model"


@dataclasses.dataclass(kw_only=True)
class ModelFiles:
    """A model folder, or its files one by one; a program adds the flag of the checkpoint."""

    model_dir: str | None = option(
        None,
        "Model folder to start from: shorthand for the next three flags. Any format that"
        " convert_checkpoint.py reads will do.",
        GROUP,
    )
    bert_config_file: str | None = option(None, "bert_config.json of the model.", GROUP)
    vocab_file: str | None = option(None, "vocab.txt that the model was trained on.", GROUP)


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
