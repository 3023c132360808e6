"""Which options of run_pretraining.py go together (no TensorFlow)."""

from bert_tf.errors import UserError
from bert_tf.options import check_needs, refuse_if, require, useless_with

_TRIANGLE = useless_with(
    "--lr_schedule=triangle", lambda options: options.lr_schedule == "triangle"
)


def check(options):
    """Raises `UserError` for `PretrainingOptions`, each of which may be, that are at odds."""
    _check_sources(options)
    _check_budget(options)


def _check_sources(options):
    if bool(options.data_dir) == bool(options.input_file):
        raise UserError(
            "give --data_dir (packed rows) or --input_file (Google's TFRecords), one of them"
        )
    refuse_if(
        bool(options.model_dir and (options.init_checkpoint or options.bert_config_file)),
        "--model_dir names shape and weights: leave --init_checkpoint and --bert_config_file out",
    )
    refuse_if(
        bool(options.input_file)
        and not options.vocab_file
        and not options.model_dir
        and not options.bert_config_file,
        "--input_file says nothing of the vocabulary: give --vocab_file, --bert_config_file or"
        " --model_dir",
    )


def _check_budget(options):
    low, peak = options.minimum_learning_rate, options.learning_rate
    require("minimum_learning_rate", low, low <= peak, f"0 to --learning_rate={peak}")
    options.check_budget()
    _ = options.markers
    for name in ("num_train_steps", "num_warmup_steps"):
        refuse_if(
            options.budget is not None and name in options.given,
            f"--{name} and --budget both set the length: give --budget={options.num_train_steps}"
            "steps, or leave --budget out (--warmup_proportion is the warm-up's share)",
        )
    refuse_if(
        {"num_warmup_steps", "warmup_proportion"} <= options.given,
        "--num_warmup_steps and --warmup_proportion both set the warm-up: give one of them",
    )
    check_needs(options, ("warmup_proportion", "num_warmup_steps"), _TRIANGLE)
    refuse_if(
        options.batch_ramp > 0 and options.gradient_accumulation_steps == 1,
        "--batch_ramp needs --gradient_accumulation_steps, whose micro-batch it begins with",
    )
