"""Options that every training script shares (no TensorFlow)."""

import dataclasses

from bert_tf.errors import UserError
from bert_tf.options import option, require
from bert_tf.packages import require_tf_models

PRECISIONS = ("float32", "bfloat16", "float16")
STRATEGIES = ("off", "one_device", "mirrored", "multi_worker_mirrored", "tpu")

TRAIN = "Training"
BATCH = "Batches"
SPEED = "Precision, speed, devices"
RUN = "Run, checkpoints, reports"


@dataclasses.dataclass(kw_only=True)
class RunOptions:
    """Options of one training run; names and defaults are Google BERT's where it has them."""

    given: frozenset = frozenset()

    output_dir: str | None = option(
        None, "Folder of the run. The same command again goes on with the run found there.", RUN
    )
    save_checkpoints_steps: int = option(1000, "Updates between checkpoints.", RUN)
    keep_best: bool = option(
        False,
        "Keep the weights with the best main metric; the final model is then that one"
        " (needs do_eval).",
        RUN,
    )
    early_stopping_patience: int = option(
        0, "Stop after this many evaluations without a better one; 0 never (needs do_eval).", RUN
    )
    log_steps: int = option(10, "Updates between TensorBoard points.", RUN)
    seed: int = option(42, "Seed of initialisation, data order and dropout.", RUN)

    learning_rate: float = option(5e-5, "Peak learning rate.", TRAIN)
    warmup_proportion: float = option(
        0.1, "Share of all updates over which the rate rises from zero.", TRAIN
    )
    optimizer: str = option("adamw", "Optimizer.", TRAIN, ("adamw", "lamb"))
    adam_bias_correction: bool = option(
        True, "Adam's bias correction (stabler on small sets); false is Google's optimizer.", TRAIN
    )
    weight_decay: float = option(
        0.01, "Decoupled weight decay; LayerNorm and bias variables are excluded.", TRAIN
    )
    clip_norm: float = option(1.0, "Limit of the gradients' global norm; 0 for no clipping.", TRAIN)

    train_batch_size: int = option(32, "Examples per update, over all devices.", BATCH)
    gradient_accumulation_steps: int = option(
        1, "Micro-batches each batch is cut into: same update, less memory.", BATCH
    )

    precision: str = option(
        "float32",
        "Compute precision; weights, logits and losses stay float32.",
        SPEED,
        PRECISIONS,
    )
    xla: bool = option(False, "Compile the training step with XLA.", SPEED)
    distribution_strategy: str = option(
        "off", "tf.distribute strategy; multi_worker_mirrored reads TF_CONFIG.", SPEED, STRATEGIES
    )
    num_gpus: int | None = option(None, "GPUs to use on this machine; all when not given.", SPEED)
    tpu: str | None = option(None, "TPU address (with distribution_strategy=tpu).", SPEED)

    def check_run(self, divides=True):
        """Raises `UserError` for values out of range and flags that contradict or cannot be had.

        Args:
          divides: whether the micro-batches must divide train_batch_size.
        """
        for name in (
            "train_batch_size",
            "gradient_accumulation_steps",
            "save_checkpoints_steps",
            "log_steps",
        ):
            require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        for name in ("learning_rate", "weight_decay", "clip_norm", "early_stopping_patience"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        share = self.warmup_proportion
        require("warmup_proportion", share, 0 <= share < 1, "a share in [0, 1)")
        require("seed", self.seed, 0 <= self.seed < 2**31, "an integer in [0, 2^31)")
        parts = self.gradient_accumulation_steps
        if divides and self.train_batch_size % parts:
            raise UserError(
                f"--gradient_accumulation_steps={parts} must divide"
                f" --train_batch_size={self.train_batch_size}"
            )
        self._contradiction(
            self.optimizer != "adamw" and "adam_bias_correction" in self.given,
            "--adam_bias_correction needs --optimizer=adamw",
        )
        self._contradiction(
            self.tpu is not None and self.distribution_strategy != "tpu",
            "--tpu needs --distribution_strategy=tpu",
        )
        self._contradiction(
            "num_gpus" in self.given and self.distribution_strategy == "off",
            "--num_gpus needs a --distribution_strategy",
        )
        if self.optimizer == "lamb":
            require_tf_models("--optimizer=lamb")

    def _contradiction(self, found, message):
        if found:
            raise UserError(message)
