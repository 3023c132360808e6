"""Options of run_pretraining.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.budget import CURVES, parse_budget, parse_limit, parse_markers
from bert_tf.budget.clock import COUNTS
from bert_tf.config import ACTIVATIONS, NORM_POSITIONS
from bert_tf.errors import UserError
from bert_tf.options import option
from bert_tf.training import pretraining_checks
from bert_tf.training.run_options import BATCH, RUN, SPEED, TRAIN, RunOptions

_WORK = "What to do"
_MODEL = "Model"
_SHAPE = "Shape of a new model (where bert_config_file and model_dir give none)"
_DATA = "Data"
_BUDGET = "Budget and what happens on its clock"

# The budget recipe of 24hBERT (Izsak, Berchansky, Levy, 2021), where its paper has a value.
RECIPES = {
    "google": {},
    "budget": {
        "learning_rate": 1e-3,
        "train_batch_size": 4096,
        "gradient_accumulation_steps": 64,
        "warmup_proportion": 0.06,
        "adam_beta2": 0.98,
        "clip_norm": 0.0,
        "norm_position": "pre",
        "eval_batch_size": 64,
    },
}


@dataclasses.dataclass(kw_only=True)
class PretrainingOptions(RunOptions):
    """Google BERT's flags and defaults; those of the budget recipe come with `recipe="budget"`."""

    GROUPS: typing.ClassVar = (_WORK, _MODEL, _SHAPE, _DATA, _BUDGET, RUN, TRAIN, BATCH, SPEED)

    do_train: bool = option(False, "Pre-train.", _WORK)
    do_eval: bool = option(
        False,
        "Evaluate on held-out rows: on the clock while training, and at the end of the budget.",
        _WORK,
    )
    probe: bool = option(
        False, "Time the shapes of --probe_shapes and say what the budget buys with each.", _WORK
    )
    probe_shapes: str = option(
        "2x128,4x256,4x512,8x512,12x768",
        "Shapes to time, LAYERSxHIDDEN; heads are hidden/64, the feed-forward layer 4 x hidden.",
        _WORK,
    )
    probe_seconds: float = option(60.0, "Time for the whole probe.", _WORK)

    model_dir: str | None = option(
        None, "Model folder to go on from: its shape, weights and vocabulary.", _MODEL
    )
    bert_config_file: str | None = option(None, "bert_config.json of the model.", _MODEL)
    init_checkpoint: str | None = option(
        None, "Initial weights (checkpoint prefix or folder); random when absent.", _MODEL
    )
    output_bias: str = option(
        "frequencies",
        "What the predictions' bias of a new model starts from: the logarithms of the tokens'"
        " frequencies in data_dir's rows, so that no update is spent on learning them, or zeros"
        " (Google's).",
        _MODEL,
        ("frequencies", "zeros"),
    )
    vocab_file: str | None = option(
        None, "vocab.txt for the model folder (with input_file; data_dir has its own).", _MODEL
    )
    hidden_size: int = option(768, "Width of the residual stream.", _SHAPE)
    num_hidden_layers: int = option(12, "Encoder layers.", _SHAPE)
    num_attention_heads: int | None = option(None, "Attention heads; hidden_size/64.", _SHAPE)
    intermediate_size: int | None = option(
        None, "Width of the feed-forward layer; 4 x hidden_size, two thirds of it if gated.", _SHAPE
    )
    hidden_act: str = option("gelu", "Activation; gelu is the tanh form.", _SHAPE, ACTIVATIONS)
    norm_position: str = option(
        "post", "LayerNorm after (BERT) or before each block.", _SHAPE, NORM_POSITIONS
    )
    use_bias: bool = option(True, "Biases in the layers' dense kernels.", _SHAPE)
    gated_ffn: bool = option(
        False, "A gate on the feed-forward layer, as in GLU variants and Cramming.", _SHAPE
    )
    max_position_embeddings: int = option(512, "The longest sequence.", _SHAPE)
    initializer_range: float = option(0.02, "Standard deviation of a new model's weights.", _SHAPE)
    hidden_dropout_prob: float | None = option(
        None, "Dropout of embeddings and dense layers; 0.1 in a new model.", _MODEL
    )
    attention_probs_dropout_prob: float | None = option(
        None, "Dropout of attention probabilities; 0.1 in a new model.", _MODEL
    )

    data_dir: str | None = option(
        None, "Folder of packed rows that create_pretraining_data.py wrote.", _DATA
    )
    input_file: str | None = option(
        None, "Google's TFRecord files instead (comma-separated globs): static masks and the"
        " next-sentence loss.", _DATA
    )  # fmt: skip
    eval_input_file: str | None = option(
        None,
        "TFRecord files to evaluate on; those of input_file if absent, as Google does.",
        _DATA,
    )
    max_seq_length: int | None = option(
        None, "Tokens per row: must be the data's; 128 with input_file if absent.", _DATA
    )
    max_predictions_per_seq: int | None = option(
        None, "Masked tokens per row: must be the data's; 20 with input_file if absent.", _DATA
    )
    mlm_probability: float = option(0.15, "Share of a packed row's tokens to predict.", _DATA)
    whole_word_masking: bool = option(False, "Mask whole words of packed rows.", _DATA)
    log_data_order: bool = option(
        False, "Append to data_order.tsv which rows of the stream each update saw.", _DATA
    )

    budget: str | None = option(
        None,
        "What the run may take: 24h, 90m, 300s, a number of hours, or 5000steps, 2e9tokens."
        " num_train_steps when absent.",
        _BUDGET,
    )
    budget_counts: str = option(
        "wall",
        "What a budget of time counts: wall everything from the start of the process to its end,"
        " last evaluation and model folder included; train the updates alone.",
        _BUDGET,
        COUNTS,
    )
    recipe: str = option(
        "google",
        "Defaults: google's, or budget: rate 1e-3, batch 4096 in 64 parts, warm-up 0.06, Adam's"
        " beta2 0.98, no clipping, pre-LN. Flags given win.",
        _BUDGET,
        tuple(RECIPES),
    )
    early_exit: str | None = option(
        None, "Stop here, an amount like budget: a longer schedule cut short.", _BUDGET
    )
    finetune_time_markers: str | None = option(
        None,
        "Shares of the budget, such as 0.25,0.5: a model folder marker-0.25 is written at each.",
        _BUDGET,
    )
    save_checkpoints_minutes: float | None = option(
        None,
        "Minutes between checkpoints, instead of save_checkpoints_steps. With a budget of time and"
        " neither of them: 10, or a twentieth of the budget if that is less.",
        _BUDGET,
    )
    validation_interval: str = option(
        "10m", "Between validations: 10m, 500steps or 0.5epochs (with do_eval).", _BUDGET
    )
    validation_begin_interval: str | None = option(
        None, "The same in the first part of the budget; as in between if absent.", _BUDGET
    )
    validation_end_interval: str | None = option(
        None, "The same in the last part of the budget; as in between if absent.", _BUDGET
    )
    validation_begin_proportion: float = option(0.1, "How long the first part is.", _BUDGET)
    validation_end_proportion: float = option(0.1, "How long the last part is.", _BUDGET)
    early_stop_minutes: float | None = option(
        None, "Stop as diverged if after these minutes the held-out loss is above"
        " early_stop_loss.", _BUDGET
    )  # fmt: skip
    early_stop_loss: float = option(6.0, "The bound of early_stop_minutes.", _BUDGET)

    num_train_steps: int = option(100000, "Updates, where no budget is given.", TRAIN)
    num_warmup_steps: int = option(
        10000, "Updates of the warm-up, where no budget is given.", TRAIN
    )
    lr_schedule: str = option(
        "linear",
        "Learning rate over the budget after the warm-up; triangle is Cramming's, which rises from"
        " a quarter to the peak at 75 % and has no warm-up.",
        TRAIN,
        CURVES,
    )
    minimum_learning_rate: float = option(0.0, "Where the rate's fall ends.", TRAIN)
    lr_power: float = option(2.0, "Power of lr_schedule=polynomial.", TRAIN)
    lr_decay_rate: float = option(0.01, "Factor of lr_schedule=exp per lr_decay_interval.", TRAIN)
    lr_decay_interval: float = option(1.0, "Share of the budget that lr_decay_rate is for.", TRAIN)
    adam_beta1: float = option(0.9, "Adam's beta1.", TRAIN)
    adam_beta2: float = option(0.999, "Adam's beta2.", TRAIN)
    adam_epsilon: float = option(1e-6, "Adam's epsilon.", TRAIN)
    eval_batch_size: int = option(8, "Rows per evaluation batch.", BATCH)
    max_eval_steps: int = option(100, "Evaluation batches, the same at each evaluation.", BATCH)
    batch_ramp: float = option(
        0.0,
        "Share of the budget over which the batch grows, in doublings, from one micro-batch to"
        " train_batch_size.",
        BATCH,
    )
    keep_checkpoints: int = option(1, "Newest checkpoints to keep.", RUN)

    def __post_init__(self):
        for name, value in RECIPES[self.recipe].items():
            if name not in self.given:
                setattr(self, name, value)

    @property
    def the_budget(self):
        """The `Budget` of the run."""
        if self.budget is None:
            return parse_budget(f"{self.num_train_steps}steps", "num_train_steps")
        return parse_budget(self.budget)

    @property
    def end(self):
        """Share of the budget at which to stop."""
        if self.early_exit is None:
            return 1.0
        return parse_limit(self.early_exit, self.the_budget)

    @property
    def markers(self):
        """The markers' shares."""
        return parse_markers(self.finetune_time_markers, self.end)

    @property
    def warmup(self):
        """The warm-up as a share of the budget."""
        if self.lr_schedule == "triangle":
            return 0.0
        if self.budget is not None or "warmup_proportion" in self.given or self.recipe != "google":
            return self.warmup_proportion
        return min(self.num_warmup_steps, self.num_train_steps - 1) / self.num_train_steps

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        if not (self.do_train or self.do_eval or self.probe):
            raise UserError("give at least one of --do_train, --do_eval, --probe")
        self._contradiction(
            self.probe and (self.do_train or self.do_eval),
            "--probe only measures: leave --do_train and --do_eval out",
        )
        if not self.output_dir:
            raise UserError("--output_dir is required: the folder of the run")
        self.check_run()
        pretraining_checks.check(self)
