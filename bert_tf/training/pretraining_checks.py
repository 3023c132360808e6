"""Which options of run_pretraining.py go together (no TensorFlow)."""

from bert_tf.budget import parse_interval
from bert_tf.errors import UserError
from bert_tf.options import require, require_dropout_rates

SHAPE_FLAGS = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "norm_position", "use_bias", "gated_ffn", "max_position_embeddings",
    "initializer_range",
)  # fmt: skip
# Those that nothing but training gives a meaning.
_TRAIN_ONLY = (
    "budget", "budget_counts", "early_exit", "finetune_time_markers", "save_checkpoints_steps",
    "save_checkpoints_minutes", "keep_checkpoints", "num_train_steps", "num_warmup_steps",
    "learning_rate", "lr_schedule", "minimum_learning_rate", "lr_power", "lr_decay_rate",
    "lr_decay_interval", "warmup_proportion", "optimizer", "adam_bias_correction", "adam_beta1",
    "adam_beta2", "adam_epsilon", "weight_decay", "clip_norm", "train_batch_size", "batch_ramp",
    "gradient_accumulation_steps", "log_steps", "log_data_order", "recipe", "output_bias",
)  # fmt: skip
_VALIDATION = (
    "validation_interval", "validation_begin_interval", "validation_end_interval",
    "validation_begin_proportion", "validation_end_proportion", "early_stop_minutes",
    "early_stop_loss", "keep_best", "early_stopping_patience",
)  # fmt: skip


def check(options):
    """Raises `UserError` for `PretrainingOptions` out of range, without effect, or at odds."""
    _check_sources(options)
    _check_ranges(options)
    _check_budget(options)
    _check_effect(options)


def _check_sources(options):
    if bool(options.data_dir) == bool(options.input_file):
        raise UserError(
            "give --data_dir (packed rows) or --input_file (Google's TFRecords), one of them"
        )
    _contradiction(
        bool(options.model_dir and (options.init_checkpoint or options.bert_config_file)),
        "--model_dir names shape and weights: leave --init_checkpoint and --bert_config_file out",
    )
    _contradiction(
        bool(options.data_dir and options.vocab_file),
        "--vocab_file has no effect with --data_dir, whose rows were made with its vocab.txt",
    )
    _contradiction(
        bool(options.input_file)
        and not options.vocab_file
        and not options.model_dir
        and not options.bert_config_file,
        "--input_file says nothing of the vocabulary: give --vocab_file, --bert_config_file or"
        " --model_dir",
    )
    _contradiction(
        bool(options.data_dir and options.eval_input_file),
        "--eval_input_file has no effect with --data_dir, which has held-out rows",
    )
    masks = sorted({"mlm_probability", "whole_word_masking"} & options.given)
    _contradiction(
        bool(masks and options.input_file),
        f"--{(masks or [''])[0]} has no effect with --input_file, whose masks are drawn",
    )


def _check_ranges(options):
    names = ("eval_batch_size", "max_eval_steps", "keep_checkpoints", "num_train_steps")
    for name in names:
        require(name, getattr(options, name), getattr(options, name) >= 1, "1 or more")
    require(
        "num_warmup_steps", options.num_warmup_steps, options.num_warmup_steps >= 0, "0 or more"
    )
    for name in ("adam_beta1", "adam_beta2", "validation_begin_proportion",
                 "validation_end_proportion", "batch_ramp"):  # fmt: skip
        require(name, getattr(options, name), 0 <= getattr(options, name) < 1, "a number in [0, 1)")
    for name in ("adam_epsilon", "lr_decay_rate", "lr_decay_interval", "lr_power",
                 "probe_seconds", "initializer_range"):  # fmt: skip
        require(name, getattr(options, name), getattr(options, name) > 0, "a number above 0")
    require("learning_rate", options.learning_rate, options.learning_rate > 0, "a number above 0")
    low, peak = options.minimum_learning_rate, options.learning_rate
    require("minimum_learning_rate", low, 0 <= low <= peak, f"0 to --learning_rate={peak}")
    minutes = options.save_checkpoints_minutes
    require("save_checkpoints_minutes", minutes, minutes is None or minutes > 0, "above 0")
    for name in ("", "begin_", "end_"):
        value = getattr(options, f"validation_{name}interval")
        if value is not None:
            parse_interval(value, f"validation_{name}interval")
    for name in SHAPE_FLAGS:
        value = getattr(options, name)
        if isinstance(value, int) and not isinstance(value, bool):
            require(name, value, value >= 1, "1 or more")
    require_dropout_rates(options)


def _check_budget(options):
    _ = options.the_budget, options.end, options.markers
    for name in ("num_train_steps", "num_warmup_steps"):
        _contradiction(
            options.budget is not None and name in options.given,
            f"--{name} and --budget both set the length: give --budget={options.num_train_steps}"
            "steps, or leave --budget out (--warmup_proportion is the warm-up's share)",
        )
    _contradiction(
        {"num_warmup_steps", "warmup_proportion"} <= options.given,
        "--num_warmup_steps and --warmup_proportion both set the warm-up: give one of them",
    )
    _contradiction(
        options.the_budget.kind != "time" and "budget_counts" in options.given,
        f"--budget_counts has no effect with a budget of {options.the_budget}",
    )
    _contradiction(
        {"save_checkpoints_steps", "save_checkpoints_minutes"} <= options.given,
        "--save_checkpoints_steps and --save_checkpoints_minutes: give one of them",
    )
    for name, schedule in (
        ("lr_power", "polynomial"),
        ("lr_decay_rate", "exp"),
        ("lr_decay_interval", "exp"),
    ):
        _contradiction(
            name in options.given and options.lr_schedule != schedule,
            f"--{name} needs --lr_schedule={schedule}",
        )
    warmup = sorted({"warmup_proportion", "num_warmup_steps"} & options.given)
    _contradiction(
        bool(warmup) and options.lr_schedule == "triangle",
        f"--{(warmup or [''])[0]} has no effect with --lr_schedule=triangle",
    )
    _contradiction(
        options.batch_ramp > 0 and options.gradient_accumulation_steps == 1,
        "--batch_ramp needs --gradient_accumulation_steps, whose micro-batch it begins with",
    )


def _check_effect(options):
    stray = sorted(set(_TRAIN_ONLY) & options.given)
    if options.probe:  # the budget is what it divides, the batch what it times
        stray = [name for name in stray if name not in
                 ("budget", "budget_counts", "num_train_steps", "recipe", "train_batch_size",
                  "gradient_accumulation_steps")]  # fmt: skip
    if stray and not options.do_train:
        raise UserError(f"--{stray[0]} has no effect without --do_train")
    stray = sorted(set(_VALIDATION) & options.given)
    if stray and not (options.do_train and options.do_eval):
        raise UserError(f"--{stray[0]} has no effect without --do_train and --do_eval")
    _contradiction(
        "early_stop_loss" in options.given and options.early_stop_minutes is None,
        "--early_stop_loss has no effect without --early_stop_minutes",
    )
    stray = sorted({"eval_batch_size", "max_eval_steps"} & options.given)
    if stray and not options.do_eval:
        raise UserError(f"--{stray[0]} has no effect without --do_eval")
    stray = sorted({"probe_shapes", "probe_seconds"} & options.given)
    if stray and not options.probe:
        raise UserError(f"--{stray[0]} has no effect without --probe")
    shaped = options.model_dir or options.bert_config_file or options.init_checkpoint
    stray = sorted(set(SHAPE_FLAGS) & options.given)
    if stray and (shaped or options.probe):
        why = "--probe, which times --probe_shapes" if options.probe else "a model that has a shape"
        raise UserError(f"--{stray[0]} has no effect with {why}")
    weights = options.model_dir or options.init_checkpoint
    _contradiction(
        "output_bias" in options.given and bool(weights or not options.data_dir),
        "--output_bias has no effect but on a new model and with --data_dir",
    )


def _contradiction(found, message):
    if found:
        raise UserError(message)
