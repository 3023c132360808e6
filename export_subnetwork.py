"""Cuts a sub-network out of an elastic model: a smaller model folder of its own.

The result computes what the sub-network computes inside the whole model, and no more. Every program
here reads it.

Half of the heads and neurons, three quarters of the layers:
  export_subnetwork.py --model_dir=runs/elastic --width=0.5 --depth=0.75 --output_dir=runs/small

One that choose_subnetwork.py has found, or that you have written down, {"mine": {"layers": [0, 2],
"heads": [6, 3], "neurons": [1536, 768]}}:
  export_subnetwork.py --model_dir=runs/elastic --subnetworks=chosen/subnetworks.json \\
      --name=mix_20ms --output_dir=runs/small
"""

import dataclasses
import sys
import typing

from bert_tf import cli
from bert_tf.checkpoints import options as model_options
from bert_tf.checkpoints.options import CheckpointOptions
from bert_tf.errors import UserError
from bert_tf.options import Needs, between, check_table, option, useless_with

_PART, _OUTPUT = "Which sub-network", "Output"
_FILE = Needs("--subnetworks", lambda options: bool(options.subnetworks))
_NO_FILE = useless_with("--subnetworks", lambda options: bool(options.subnetworks))


@dataclasses.dataclass(kw_only=True)
class Options(CheckpointOptions):
    """Which sub-network of which model, and where to write it."""

    GROUPS: typing.ClassVar = (model_options.GROUP, _PART, _OUTPUT)
    given: frozenset = frozenset()

    width: float = option(
        1.0,
        "Share of the heads and neurons of each layer, the first ones, in (0, 1].",
        _PART,
        valid=between(0, 1, "(]"),
        needs=_NO_FILE,
    )
    depth: float = option(
        1.0, "Share of the layers, in (0, 1].", _PART, valid=between(0, 1, "(]"), needs=_NO_FILE
    )
    depth_rule: str | None = option(
        None,
        "Which layers a depth keeps: floor(i / depth), which drops the last one, or those that keep"
        " it. Default: as the model was trained, else keep_first.",
        _PART,
        ("keep_first", "keep_last"),
        needs=_NO_FILE,
    )
    subnetworks: str | None = option(
        None,
        "JSON file of named sub-networks, {name: {layers, heads, neurons}}, such as the"
        " subnetworks.json of choose_subnetwork.py.",
        _PART,
    )
    name: str | None = option(None, "Name of the one to cut out.", _PART, needs=_FILE)
    output_dir: str | None = option(
        None,
        "Model folder to write: new, empty, or an earlier output, which is replaced. Required.",
        _OUTPUT,
        required="the model folder to write",
    )

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        check_table(self)
        self.check_model("the elastic model")
        if self.subnetworks and not self.name:
            raise UserError(f"--subnetworks={self.subnetworks}: give --name of the one to cut out")


def main(options):
    """Reads the model, writes the sub-network, prints what is left of each layer."""
    options.check()

    from bert_tf.checkpoints import origin
    from bert_tf.checkpoints.model_folder import load_model
    from bert_tf.dynabert import folder, named, record
    from bert_tf.encoder import Subnetwork

    source = options.model_dir or options.checkpoint
    folder.check_output(options.output_dir, source)
    model = load_model(source, options.bert_config_file, options.vocab_file)
    if options.subnetworks:
        part = named.one(options.subnetworks, options.name, model.config)
        found = record.warnings(model)
    else:
        rule = record.depth_rule(model.config, options.depth_rule)
        part = Subnetwork.of(model.config, options.width, options.depth, rule)
        found = record.warnings(model, [options.width], [options.depth])
    folder.save(
        model,
        part,
        options.output_dir,
        also=lambda new: origin.write(new, "export_subnetwork.py", options, source),
    )
    for sentence in found:
        print(f"warning: {sentence}")
    print(folder.table(model, part))
    print(f"Written to {options.output_dir}")


def cli_main():
    """Entry point of the installed command."""
    cli.run(Options, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
