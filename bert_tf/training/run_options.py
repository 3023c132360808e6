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
        """Raises `UserError` for flags that are out of range, without effect, or at odds.

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
