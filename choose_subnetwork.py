"""Compares the sub-networks of an elastic model and chooses the best within a limit.

Each sub-network of the grid is evaluated on the dev rows and timed as the small model that it
would be; a search may mix widths of its own for each layer. The report (subnetworks.json, .csv,
.png) goes to --output_dir, the best one, if asked for, to --export_dir.

All of the grid, side by side:
  choose_subnetwork.py --model_dir=runs/elastic --data_dir=glue_data/SST-2 --output_dir=runs/choice

The best under 20 ms, mixed widths included, as a model folder:
  choose_subnetwork.py --model_dir=runs/elastic --data_dir=glue_data/SST-2 \\
      --output_dir=runs/choice --max_latency_ms=20 --search=greedy --export_dir=runs/small
"""

import dataclasses
import pathlib
import sys
import typing

from bert_tf import cli, files
from bert_tf.checkpoints import options as model_options
from bert_tf.checkpoints.options import CheckpointOptions
from bert_tf.data import options as data_options
from bert_tf.data.options import TaskOptions
from bert_tf.dynabert.limits import Limits
from bert_tf.dynabert.options import parse_multipliers
from bert_tf.options import (
    SEED,
    Needs,
    above,
    at_least,
    check_table,
    option,
    option_fields,
    refuse_if,
)

_GRID, _LATENCY, _LIMITS = "Which sub-networks", "Latency", "Limits"
_SEARCH, _OUTPUT = "Mixing widths by layer", "Output"

_TIMED = Needs("--latency_rounds of 1 or more", lambda options: options.latency_rounds > 0)
_SEARCHES = Needs("--search", lambda options: options.search != "off")
_EVOLVES = Needs("--search=evolution", lambda options: options.search == "evolution")
_DRAWS = Needs(
    "--max_eval_examples or --search",
    lambda options: options.max_eval_examples is not None or options.search != "off",
)


@dataclasses.dataclass(kw_only=True)
class Options(TaskOptions, CheckpointOptions):
    """What to compare, on which rows, and what to choose by."""

    GROUPS: typing.ClassVar = (
        model_options.GROUP, _GRID, data_options.GROUP, data_options.CUSTOM_GROUP, _LATENCY,
        _LIMITS, _SEARCH, _OUTPUT,
    )  # fmt: skip
    given: frozenset = frozenset()

    width_mult_list: str | None = option(
        None,
        "Widths of the grid, comma separated. Default: those that the model was trained to, else"
        " 0.25,0.5,0.75,1.0.",
        _GRID,
        valid=parse_multipliers,
    )
    depth_mult_list: str | None = option(
        None,
        "Depths of the grid. Default: those that the model was trained to, else 0.5,0.75,1.0.",
        _GRID,
        valid=parse_multipliers,
    )
    depth_rule: str | None = option(
        None,
        "Which layers a depth keeps: floor(i / depth), which drops the last one, or those that keep"
        " it. Default: as the model was trained, else keep_first.",
        _GRID,
        ("keep_first", "keep_last"),
    )
    subnetworks: str | None = option(
        None,
        "JSON file of more sub-networks, {name: {layers, heads, neurons}}, or an earlier report.",
        _GRID,
    )
    dev_split: str | None = data_options.dev_split_option()
    dev_file: str | None = option(
        None,
        "custom task: file to evaluate on.",
        data_options.CUSTOM_GROUP,
        needs=data_options.CUSTOM,
    )
    max_seq_length: int | None = option(
        None,
        "Longer rows are cut to this many tokens. Default: the fine-tuned model's, else 128.",
        data_options.GROUP,
        valid=at_least(3),
    )
    max_eval_examples: int | None = option(
        None,
        "Evaluate on this many dev rows, drawn at random.",
        data_options.GROUP,
        valid=at_least(1),
    )
    eval_batch_size: int = option(
        32, "Rows per evaluation batch.", data_options.GROUP, valid=at_least(1)
    )
    seed: int = option(
        42, "Seed of the draws of rows and of the search.", data_options.GROUP,
        valid=SEED, needs=_DRAWS,
    )  # fmt: skip
    latency_batch_size: int = option(
        1, "Examples of the batch that is timed.", _LATENCY, valid=at_least(1), needs=_TIMED
    )
    latency_length: int = option(
        128,
        "Tokens of each, or as many as the model takes; also the length at which FLOPs count.",
        _LATENCY,
        valid=at_least(1),
    )
    latency_rounds: int = option(
        20,
        "How often each sub-network is timed, in turn; 0 leaves latency out.",
        _LATENCY,
        valid=at_least(0),
    )
    max_latency_ms: float | None = option(
        None, "Median milliseconds of such a batch.", _LIMITS, valid=above(0), needs=_TIMED
    )
    max_parameters: int | None = option(
        None, "Parameters of the whole model, embeddings included.", _LIMITS, valid=at_least(1)
    )
    max_mb: float | None = option(
        None, "Size of the checkpoint, 10^6 bytes.", _LIMITS, valid=above(0)
    )
    search: str = option(
        "off",
        "greedy: removes again and again the head or neurons whose loss on training rows rises"
        " least for what they cost. evolution: goes on from there and from the grid.",
        _SEARCH,
        ("off", "greedy", "evolution"),
    )
    search_at: str | None = option(
        None,
        "limit: one mix for the limits. grid: one for the cost of each sub-network of the grid."
        " Default: limit if one is given, else grid.",
        _SEARCH,
        ("limit", "grid"),
        needs=_SEARCHES,
    )
    search_cost: str | None = option(
        None,
        "What a step saves: parameters; flops; latency, by a table of this machine's layers."
        " Default: latency with --max_latency_ms, else parameters.",
        _SEARCH,
        ("parameters", "flops", "latency"),
        needs=_SEARCHES,
    )
    search_examples: int = option(
        1024,
        "Training rows that the loss is taken on, drawn at random.",
        _SEARCH,
        valid=at_least(1),
        needs=_SEARCHES,
    )
    search_generations: int = option(
        10, "Generations of 32 sub-networks each.", _SEARCH, valid=at_least(1), needs=_EVOLVES
    )
    output_dir: str | None = option(
        None, "Folder of the report. Required.", _OUTPUT, required="the folder of the report"
    )
    export_dir: str | None = option(
        None,
        "Model folder to write the best sub-network to: new, empty, or an earlier output.",
        _OUTPUT,
    )

    @property
    def limits(self):
        """The `Limits` that the flags give."""
        return Limits(self.max_latency_ms, self.max_parameters, self.max_mb)

    @property
    def row_flags(self):
        """{name: value} of the given flags that say which rows."""
        names = {field.name for field in option_fields(TaskOptions)} | {"dev_file", "dev_split"}
        return {name: getattr(self, name) for name in self.given & names}

    @property
    def chosen_search_at(self):
        """What is mixed for, the default filled in."""
        return self.search_at or ("limit" if self.limits else "grid")

    @property
    def chosen_cost(self):
        """What a step of the search saves, the default filled in."""
        return self.search_cost or ("latency" if self.max_latency_ms is not None else "parameters")

    @property
    def needs_layer_times(self):
        """Whether a search asks for latencies of sub-networks that nobody has built."""
        return self.chosen_cost == "latency" or self.max_latency_ms is not None

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        check_table(self)
        self.check_model("the elastic model")
        refuse_if(
            self.search_at == "limit" and not self.limits,
            "--search_at=limit: give a limit, --max_latency_ms, --max_parameters or --max_mb",
        )
        refuse_if(
            self.search_cost == "latency" and not self.latency_rounds,
            "--search_cost=latency measures layers: give --latency_rounds of 1 or more",
        )
        source = self.model_dir or self.checkpoint
        files.refuse_same_folder("output_dir", self.output_dir, source)
        if self.export_dir:
            files.refuse_same_folder("export_dir", self.export_dir, source)
            refuse_if(
                pathlib.Path(self.export_dir).resolve() == pathlib.Path(self.output_dir).resolve(),
                f"--export_dir={self.export_dir}: is the folder of the report: name another one",
            )


def main(options):
    """Reads the model, compares its sub-networks, prints the table, writes the best one."""
    options.check()

    from bert_tf.checkpoints import origin
    from bert_tf.checkpoints.model_folder import load_model
    from bert_tf.classification.choosing import choose
    from bert_tf.dynabert import folder

    source = options.model_dir or options.checkpoint
    if options.export_dir:
        folder.check_output(options.export_dir, source, "export_dir")
    model = load_model(source, options.bert_config_file, options.vocab_file)
    found = choose(options, model)
    print(found.report.table())
    print(f"Report: {options.output_dir}")
    found.report.require(options.limits)
    part = found.best.part
    print(f"Best{' within the limits' if options.limits else ''}: {part.name}")
    if options.export_dir:
        folder.save(
            model,
            part,
            options.export_dir,
            "export_dir",
            also=lambda new: origin.write(new, "choose_subnetwork.py", options, source),
        )
        print(f"Written to {options.export_dir}")


def cli_main():
    """Entry point of the installed command."""
    cli.run(Options, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
