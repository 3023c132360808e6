"""Makes a masked model compact: folds its gates in and cuts what they close.

The result is a model folder that every program here reads, with the size of each kernel in
layers.txt and layers.png. At the end it says how far the compact model's outputs are from the
masked one's.

Cut what is closed, which changes no output:
  python remove_mask.py --model_dir=runs/masked --output_folder_dir=runs/compact

Cut until three quarters of the dense kernel parameters are gone:
  python remove_mask.py --model_dir=runs/masked --output_folder_dir=runs/compact \\
      --target_sparsity=0.75 --data_dir=glue_data/SST-2
"""

import dataclasses
import typing

from bert_tf import cli, files
from bert_tf.checkpoints import options as model_options
from bert_tf.checkpoints.options import CheckpointOptions
from bert_tf.errors import UserError
from bert_tf.options import Needs, between, check_table, option

_DATA, _CUT, _OUTPUT = "Data", "What to cut", "Output"
_TARGET = Needs("--target_sparsity", lambda options: options.target_sparsity is not None)


@dataclasses.dataclass(kw_only=True)
class Options(CheckpointOptions):
    """Which model, what to cut from it, and where to write the rest."""

    GROUPS: typing.ClassVar = (model_options.GROUP, _DATA, _CUT, _OUTPUT)

    data_dir: str | None = option(
        None,
        "Folder with the files of the model's task: masked and compact model are compared on its"
        " dev rows. Without it, on random tokens.",
        _DATA,
    )
    threshold: float = option(
        0.0,
        "Cut the components whose gate is at or below this, in [0, 1]. 0 cuts what is closed and"
        " changes no output; more cuts components that are in use.",
        _CUT,
        valid=between(0, 1),
    )
    target_sparsity: float | None = option(
        None,
        "Cut until this share of the kernel parameters is gone, in [0, 1], those with the lowest"
        " log_alpha first; instead of --threshold.",
        _CUT,
        valid=between(0, 1),
    )
    sparsity_base: str = option(
        "dense",
        "What --target_sparsity is a share of: dense, the encoder kernels of the dense model, or"
        " factorized, the factors of the masked one (the pruning original's count).",
        _CUT,
        choices=("dense", "factorized"),
        needs=_TARGET,
    )
    merge_dense: bool = option(
        True,
        "Multiply factors that are no smaller than the dense kernel back into one.",
        _CUT,
    )
    evaluation: str | None = option(
        None,
        "How the gates are evaluated: clipped, their median, or hard, with the expected number of"
        " zeros. Default: as the model was trained, else clipped.",
        _CUT,
        choices=("clipped", "hard"),
    )
    output_folder_dir: str | None = option(
        None,
        "Folder to write: new, empty, or an earlier output, which is replaced. Required.",
        _OUTPUT,
        required="the folder to write",
    )
    given: frozenset = frozenset()

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        check_table(self)
        self.check_model("the masked model")
        files.refuse_same_folder(
            "output_folder_dir", self.output_folder_dir, self.model_dir or self.checkpoint
        )
        if self.target_sparsity is not None and "threshold" in self.given:
            raise UserError("--threshold and --target_sparsity exclude each other: give one")


def main(options):
    """Reads the masked model, writes the compact one, prints what became of each kernel."""
    options.check()

    from bert_tf.checkpoints import origin
    from bert_tf.checkpoints.model_folder import load_model
    from bert_tf.pruning import comparison, removal

    removal.check_output(options.output_folder_dir)
    given = options.model_dir or options.checkpoint
    model = load_model(given, options.bert_config_file, options.vocab_file)
    store = (
        comparison.dev_store(model, options.data_dir)
        if options.data_dir
        else comparison.random_store(model.config)
    )
    result = removal.remove_masks(
        model.config,
        model.arrays,
        threshold=options.threshold,
        target_sparsity=options.target_sparsity,
        sparsity_base=options.sparsity_base,
        merge_dense=options.merge_dense,
        evaluation=options.evaluation,
        source=model.source,
    )
    files.make_output_dir(options.output_folder_dir, "output_folder_dir")
    folder = removal.save(
        result,
        options.output_folder_dir,
        model.vocab_file,
        model.task,
        also=lambda new: origin.write(new, "remove_mask.py", options, given),
    )
    print((folder / "layers.txt").read_text(encoding="utf-8"), end="")
    if options.target_sparsity is not None and result.open_cut:
        print(
            f"warning: --target_sparsity={options.target_sparsity} cut {result.open_cut:,} of the"
            f" {result.open_components:,} components that the masks had left open, so the outputs"
            " change: fine-tune the result, or train the masks to this target or further"
        )
    difference = comparison.compare(
        (model.config, model.arrays), (result.config, result.arrays), store, result.evaluation
    )
    rows = "dev" if options.data_dir else "random"
    print(f"Compact against masked model ({rows} rows): {difference.text()}")
    print(f"Written to {folder}")


def cli_main():
    """Entry point of the `bert-remove-mask` command."""
    cli.run(Options, main, __doc__)


if __name__ == "__main__":
    cli_main()
