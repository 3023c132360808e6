"""Flags of benchmarks.freezing: what is compared, and run_classifier.py's own."""

import dataclasses
import re
import typing

from benchmarks.freezing.runs import Variant
from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.options import Needs, at_least, check_needs, check_table, option, option_fields

_GROUP = "What to compare"
_OWN_FLAGS = frozenset(
    {"do_train", "do_eval", "do_predict", "output_dir", "timestamped_output_dir", "seed"}
    | {"freeze_layers", "freeze_policy", "freeze_schedule"}
)  # set by the benchmark
_POLICIES = Needs("--experiment=policies", lambda options: options.experiment == "policies")


def parse_variants(text):
    """Returns the list of `Variant` of --variants, each once.

    Raises:
      UserError: one of them is none.
    """
    return [Variant.parse(name) for name in dict.fromkeys(text.split(","))]


def parse_seeds(text, flag="seeds"):
    """Returns the integers of --seeds.

    Raises:
      UserError: it is no list of integers.
    """
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--{flag}={text}: expected integers with commas between them")
    return [int(seed) for seed in dict.fromkeys(text.split(","))]


@dataclasses.dataclass(kw_only=True)
class BenchmarkOptions(ClassifierOptions):
    """Options of the benchmark; those of `ClassifierOptions` are of every run."""

    GROUPS: typing.ClassVar = (_GROUP, *ClassifierOptions.GROUPS)

    work_dir: str | None = option(
        None,
        "Folder for all runs and the report.",
        _GROUP,
        required="the folder for all runs and the report",
    )
    experiment: str = option(
        "policies",
        "policies: the variants. depths: every number of frozen layers, evaluated at each epoch.",
        _GROUP,
        ("policies", "depths"),
    )
    variants: str = option(
        "full,static-4,autofreeze,autofreeze+cache,random+cache",
        "policies: what to train: full, static-N, static-embeddings, autofreeze, random, the last"
        " two also as autofreeze-75 with a --percentile of their own, each but full with or"
        " without +cache. Ratios are to full of the same seed.",
        _GROUP,
        valid=lambda text, _: parse_variants(text),
        needs=_POLICIES,
    )
    seeds: str = option(
        "1",
        "Comma-separated seeds: of head, data order and dropout.",
        _GROUP,
        valid=parse_seeds,
    )
    slice_seconds: float = option(
        20.0,
        "Length of a turn; 0 gives each run a single turn of its whole length.",
        _GROUP,
        valid=at_least(0),
    )


def check(options):
    """Raises `UserError` for flags that are missing or that the benchmark sets itself."""
    own = {field.name for field in option_fields(BenchmarkOptions)}
    check_table(options, own - {field.name for field in option_fields(ClassifierOptions)})
    stray = sorted(_OWN_FLAGS & options.given)
    if stray:
        raise UserError(f"--{stray[0]}: the benchmark sets it, see --variants and --seeds")
    check_needs(options, ("save_checkpoints_steps", "train_token_budget"), _POLICIES)
