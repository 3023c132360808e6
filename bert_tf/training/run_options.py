"""Options that every training script shares (no TensorFlow)."""

import dataclasses

from bert_tf.options import (
    DO_EVAL,
    DO_TRAIN,
    SEED,
    UPDATES,
    Needs,
    above,
    at_least,
    between,
    check_table,
    option,
    refuse_if,
)
from bert_tf.packages import require_tf_models

PRECISIONS = ("float32", "bfloat16", "float16")
STRATEGIES = ("off", "one_device", "mirrored", "multi_worker_mirrored", "tpu")

TRAIN = "Training"
BATCH = "Batches"
SPEED = "Precision, speed, devices"
RUN = "Run, checkpoints, reports"

_ADAMW = Needs("--optimizer=adamw", lambda options: options.optimizer == "adamw")
_STRATEGY = Needs("--distribution_strategy", lambda o: o.distribution_strategy != "off")
_TPU = Needs("--distribution_strategy=tpu", lambda o: o.distribution_strategy == "tpu")


@dataclasses.dataclass(kw_only=True)
class RunOptions:
    """Options of one training run; names and defaults are Google BERT's where it has them.

    A program adds at least `do_train` and `do_eval`.
    """

    given: frozenset = frozenset()

    output_dir: str | None = option(
        None,
        "Folder of the run. The same command again goes on with the run found there.",
        RUN,
        required="the folder of the run",
    )
    save_checkpoints_steps: int = option(
        1000, "Updates between checkpoints.", RUN, valid=at_least(1), needs=DO_TRAIN
    )
    keep_best: bool = option(
        False,
        "Keep the weights with the best main metric; the final model is then that one"
        " (needs do_eval).",
        RUN,
        needs=(DO_TRAIN, DO_EVAL),
    )
    early_stopping_patience: int = option(
        0,
        "Stop after this many evaluations without a better one; 0 never (needs do_eval).",
        RUN,
        valid=at_least(0),
        needs=(DO_TRAIN, DO_EVAL),
    )
    log_steps: int = option(
        10, "Updates between TensorBoard points.", RUN, valid=at_least(1), needs=DO_TRAIN
    )
    seed: int = option(
        42, "Seed of initialisation, data order and dropout.", RUN, valid=SEED, same=True
    )

    learning_rate: float = option(
        5e-5, "Peak learning rate.", TRAIN, valid=above(0), needs=DO_TRAIN, same=True
    )
    warmup_proportion: float = option(
        0.1,
        "Share of all updates over which the rate rises from zero.",
        TRAIN,
        valid=between(0, 1, "[)"),
        needs=DO_TRAIN,
        same=True,
    )
    optimizer: str = option(
        "adamw", "Optimizer.", TRAIN, ("adamw", "lamb"), needs=DO_TRAIN, same=True
    )
    adam_bias_correction: bool = option(
        True,
        "Adam's bias correction (stabler on small sets); false is Google's optimizer.",
        TRAIN,
        needs=(DO_TRAIN, _ADAMW),
        same=True,
    )
    weight_decay: float = option(
        0.01,
        "Decoupled weight decay; LayerNorm and bias variables are excluded.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
        same=True,
    )
    clip_norm: float = option(
        1.0,
        "Limit of the gradients' global norm; 0 for no clipping.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
        same=True,
    )
    hidden_dropout_prob: float | None = option(
        None,
        "Dropout of embeddings, dense layers and classifier; the model's own if absent, 0.1 in a"
        " new one.",
        TRAIN,
        valid=between(0, 1, "[)"),
        needs=DO_TRAIN,
    )
    attention_probs_dropout_prob: float | None = option(
        None,
        "Dropout of attention probabilities; the model's own if absent, 0.1 in a new one.",
        TRAIN,
        valid=between(0, 1, "[)"),
        needs=DO_TRAIN,
    )

    train_batch_size: int = option(
        32,
        "Examples per update, over all devices.",
        BATCH,
        valid=at_least(1),
        needs=UPDATES,
        same=True,
    )
    gradient_accumulation_steps: int = option(
        1,
        "Micro-batches each batch is cut into: same update, less memory.",
        BATCH,
        valid=at_least(1),
        needs=UPDATES,
        same=True,
    )

    precision: str = option(
        "float32",
        "Compute precision; weights, logits and losses stay float32.",
        SPEED,
        PRECISIONS,
        same=True,
    )
    xla: bool = option(False, "Compile the training step with XLA.", SPEED)
    distribution_strategy: str = option(
        "off", "tf.distribute strategy; multi_worker_mirrored reads TF_CONFIG.", SPEED, STRATEGIES
    )
    num_gpus: int | None = option(
        None,
        "GPUs to use on this machine; all when not given.",
        SPEED,
        valid=at_least(0),
        needs=_STRATEGY,
    )
    tpu: str | None = option(
        None, "TPU address (with distribution_strategy=tpu).", SPEED, needs=_TPU
    )

    @property
    def makes_updates(self):
        """Whether batches are made and updates run, for training or to time them."""
        return self.do_train

    def check_run(self, divides=True):
        """Raises `UserError` for flags out of range, without effect, at odds, or not to be had.

        Args:
          divides: whether the micro-batches must divide train_batch_size.
        """
        check_table(self)
        parts = self.gradient_accumulation_steps
        refuse_if(
            divides and self.train_batch_size % parts != 0,
            f"--gradient_accumulation_steps={parts} must divide"
            f" --train_batch_size={self.train_batch_size}",
        )
        if self.optimizer == "lamb":
            require_tf_models("--optimizer=lamb")


@dataclasses.dataclass(kw_only=True)
class TrainingOptions(RunOptions):
    """Options of a training by epochs; names and defaults are Google BERT's where it has them."""

    timestamped_output_dir: bool = option(
        False, "Write to a dated child of output_dir instead (the pruning original's way).", RUN
    )
    save_checkpoints_steps: int = option(
        1000,
        "Updates between checkpoints; with do_eval each one is evaluated.",
        RUN,
        valid=at_least(1),
        needs=DO_TRAIN,
    )
    learning_rate: float = option(
        5e-5,
        "Peak learning rate; 0 trains masks alone, the weights stay.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
        same=True,
    )
    lr_schedule: str = option(
        "linear",
        "Learning rate after the warm-up: linear to zero, constant, noam (inverse square root), or"
        " stepped: AutoFreeze's, 1, 0.7 and 0.4 of the rate from 0, 30 and 60 % on; it warms up"
        " only if warmup_proportion is given.",
        TRAIN,
        ("linear", "constant", "noam", "stepped"),
        needs=DO_TRAIN,
        same=True,
    )
    num_train_epochs: float = option(
        3.0,
        "Passes over the training examples; fractions are allowed.",
        TRAIN,
        valid=above(0),
        needs=DO_TRAIN,
        same=True,
    )
    regularization_scale: float = option(
        0.0,
        "Factor of the l2 loss on the kernels of encoder and pooler.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
        same=True,
    )
    train_token_budget: int | None = option(
        None,
        "Padded tokens per update instead of train_batch_size: short texts come in large batches.",
        BATCH,
        valid=at_least(1),
        needs=DO_TRAIN,
        same=True,
    )
    bucket_by_length: bool = option(
        True,
        "Put examples of similar length in one batch (the order stays random).",
        BATCH,
        needs=DO_TRAIN,
        same=True,
    )
    pad_to_max_length: bool = option(
        False,
        "Pad every batch to max_seq_length instead of to its longest example.",
        BATCH,
        same=True,
    )
    steps_per_execution: int = option(
        1,
        "Updates per call of the compiled step (saves Python time on fast devices).",
        SPEED,
        valid=at_least(1),
        needs=DO_TRAIN,
    )

    def check_training(self):
        """Raises `UserError` for flags that are out of range, without effect, or at odds."""
        budget, parts = self.train_token_budget, self.gradient_accumulation_steps
        self.check_run(divides=budget is None)
        refuse_if(
            budget is not None and "train_batch_size" in self.given,
            "--train_token_budget and --train_batch_size both set the batch: give one of them",
        )
        refuse_if(
            budget is not None and self.xla and parts > 1,
            "--xla with --train_token_budget cannot cut batches into"
            " --gradient_accumulation_steps: give --train_batch_size instead",
        )
