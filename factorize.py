"""Splits BERT's encoder kernels into two factors each, and compresses them at once if asked to.

Without loss, as the start of mask training (rank min(d_in, d_out), or the original's full SVD):
  factorize.py --model_dir=runs/sst2 --output_dir=runs/sst2-f

Half of the encoder's kernel parameters removed in closed form, by what the training rows say:
  factorize.py --model_dir=runs/sst2 --output_dir=runs/sst2-50 --target_sparsity=0.5 \\
      --task_name=SST-2 --data_dir=glue_data/SST-2

A pretrained model, by what plain text says:
  factorize.py --model_dir=minilm --output_dir=minilm-50 --target_sparsity=0.5 --text_file=wiki.txt

The result is a model folder that run_classifier.py takes as --model_dir, with a file of scores that
masks can start from.
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
from bert_tf.errors import UserError
from bert_tf.options import (
    SEED,
    Needs,
    at_least,
    between,
    check_needs,
    check_table,
    option,
    option_fields,
    useless_with,
)

_FORM, _OUTPUT = "Form and size", "Output"
_TASK_FLAGS = frozenset(field.name for field in option_fields(TaskOptions)) - {"do_lower_case"}

_TARGET = Needs("--target_sparsity", lambda options: options.target_sparsity is not None)
_NO_TARGET = useless_with(
    "--target_sparsity",
    lambda options: options.target_sparsity is not None,
    ", which sets the ranks",
)
_NO_TEXT = useless_with("--text_file", lambda o: bool(o.text_file), ": give one of them")
_ROWS = Needs("--dataset, --data_dir or --train_file", lambda options: options.has_data)
_DATA = Needs(
    "--dataset, --data_dir, --train_file or --text_file", lambda options: options.has_data
)
_LATENCY = Needs("--cost=latency", lambda options: options.cost == "latency")
_LENGTH = Needs("data or a --cost it decides", lambda o: o.has_data or o.cost != "parameters")


@dataclasses.dataclass(kw_only=True)
class Options(TaskOptions, CheckpointOptions):
    """What to factorise, how far, and by which data."""

    GROUPS: typing.ClassVar = (
        model_options.GROUP, _FORM, data_options.GROUP, data_options.CUSTOM_GROUP, _OUTPUT,
    )  # fmt: skip
    given: frozenset = frozenset()

    finetuned: bool | None = option(
        None,
        "Keep the classifier, with any number of labels, or the head of spans. Default: as the"
        " model folder says.",
        model_options.GROUP,
    )

    svd: str = option(
        "thin",
        "Rank without --target_sparsity: thin is min(d_in, d_out); full is d_in, the original's.",
        _FORM,
        ("thin", "full"),
        needs=_NO_TARGET,
    )
    target_sparsity: float | None = option(
        None,
        "Share of the encoder kernels' cost to remove now, in [0, 1); without it nothing is lost.",
        _FORM,
        valid=between(0, 1, "[)"),
    )
    method: str | None = option(
        None,
        "svd: plain. fisher: rows weighted by Fisher information (FWSVD). whitened: by the"
        " covariance of the inputs. two_sided: that and the gradients of the outputs. Without"
        " --target_sparsity it decides the components that masks choose from, and their scores."
        " Default: two_sided with a task's data, whitened with --text_file, svd without data.",
        _FORM,
        ("svd", "fisher", "whitened", "two_sided"),
    )
    rank_sharing: str | None = option(
        None,
        "uniform: all kernels cut alike. global: ranks go where they predict the most loss per"
        " cost. Default: global with two_sided, else uniform.",
        _FORM,
        ("uniform", "global"),
        needs=_TARGET,
    )
    cost: str = option(
        "parameters",
        "What is cut: parameters; flops of an example; latency, measured on this machine.",
        _FORM,
        ("parameters", "flops", "latency"),
        needs=_TARGET,
    )
    runtime: str = option(
        "tensorflow",
        "Where the latency is measured: on what will run the model, see export_model.py.",
        _FORM,
        ("tensorflow", "onnxruntime"),
        needs=_LATENCY,
    )
    rank_multiple: int = option(
        1,
        "Ranks are multiples of this (8 suits some devices).",
        _FORM,
        valid=at_least(1),
        needs=_TARGET,
    )

    text_file: str | None = option(
        None,
        "Plain text in place of a task: one passage per line, UTF-8, no labels; or a JSON object"
        " per line, whose text is taken.",
        data_options.GROUP,
    )
    calibration_examples: int = option(
        1280,
        "Training rows or passages to take statistics from, drawn at random.",
        data_options.GROUP,
        valid=at_least(1),
        needs=_DATA,
    )
    max_seq_length: int | None = option(
        None,
        "Longer inputs are cut to this many tokens; also the length at which flops and latency"
        " count. Default: the fine-tuned model's, else 128.",
        data_options.GROUP,
        valid=at_least(3),
        needs=_LENGTH,
    )
    seed: int = option(42, "Seed of the draw of rows.", data_options.GROUP, valid=SEED, needs=_DATA)

    output_dir: str | None = option(
        None,
        "Model folder to write: new, empty, or an earlier output, which is replaced. A name ending"
        " in .ckpt is the checkpoint's own (the original's way); the rest goes beside it.",
        _OUTPUT,
        required="the model folder to write",
    )

    @property
    def has_data(self):
        """Whether rows or text are given."""
        return bool(self.dataset or self.data_dir or self.train_file or self.text_file)

    @property
    def chosen_method(self):
        """The method, its default filled in."""
        default = "whitened" if self.text_file else "two_sided" if self.has_data else "svd"
        return self.method or default

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        check_table(self)
        self.check_model("the model to factorise")
        check_needs(self, _TASK_FLAGS, _NO_TEXT, _ROWS)
        check_needs(self, ["do_lower_case"], _DATA)
        self._check_method()

    def _check_method(self):
        method = self.chosen_method
        if self.text_file and method in ("fisher", "two_sided"):
            raise UserError(
                f"--method={method} needs labels, which --text_file has not: give --task_name"
                " and --data_dir, or --method=whitened"
            )
        if method != "svd" and not self.has_data:
            raise UserError(
                f"--method={method} needs data: give --data_dir (with --task_name), --train_file"
                + (" or --text_file" if method == "whitened" else "")
            )
        if method == "svd" and self.has_data:
            raise UserError("--method=svd takes no data: leave out the data or name another method")
        if self.svd == "full" and method != "svd":
            raise UserError(
                f"--svd=full has no effect with --method={method}, whose components are thin:"
                " leave one of them out"
            )


def main(options):
    """Reads the model, factorises it, writes the folder, prints what became of each tensor."""
    options.check()
    from bert_tf.checkpoints import forms, head, mask_scores, model_folder, origin
    from bert_tf.checkpoints.report import LoadReport
    from bert_tf.pruning import factorization

    folder, checkpoint = pathlib.Path(options.output_dir), model_folder.CHECKPOINT
    if folder.suffix == ".ckpt":
        folder, checkpoint = folder.parent, folder.name
    source = pathlib.Path(options.model_dir or options.checkpoint)
    files.refuse_same_folder("output_dir", folder, source)
    form = forms.model_folder(checkpoint, also=[mask_scores.FILE])
    forms.check_output(folder, form)
    model = model_folder.load_model(source, options.bert_config_file, options.vocab_file)
    factorization.check_dense(model.config, model.arrays, model.source)
    keep = bool(model.task) if options.finetuned is None else options.finetuned
    if keep and not {head.HEAD[0], head.SPAN_HEAD[0]} & set(model.arrays):
        raise UserError(f"{model.source}: has no classifier (output_weights) for --finetuned")
    files.make_output_dir(folder)
    statistics = _statistics(options, model)
    if not keep:
        model = head.without_head(model, "classifier, not kept without --finetuned")
    config, arrays, report = _factorize(options, model, statistics)
    taken, model = list(model.arrays), dataclasses.replace(model, arrays={})  # frees the kernels
    with forms.output(folder, form) as new:
        vocab_file, task = model.vocab_file, model.task
        model_folder.save_model_folder(new, config, arrays, vocab_file, task, checkpoint)
        mask_scores.write_scores(new, report.scores)
        origin.write(new, "factorize.py", options, source)
    way = f"{model.source} -> {options.output_dir}"
    print(
        LoadReport(
            way, taken, model.left, notes=report.notes, verb="taken", remarks=model.remarks
        ).table()
    )
    print(report.table())


def _statistics(options, model):
    """Statistics of the data that the flags name, None if they name none."""
    from bert_tf.pruning import calibration

    common = {
        "examples": options.calibration_examples,
        "max_seq_length": options.max_seq_length,
        "seed": options.seed,
    }
    if options.text_file:
        return calibration.statistics_of_text(
            model, options.text_file, do_lower_case=options.do_lower_case, **common
        )
    if not options.has_data:
        return None
    given = options.given & {"do_lower_case", *_TASK_FLAGS}
    task = {name: getattr(options, name) for name in given}
    return calibration.statistics_of_task(model, options.chosen_method, task, **common)


def _factorize(options, model, statistics):
    from bert_tf.data.rows import DEFAULT_LENGTH
    from bert_tf.pruning import factorization

    config, method = model.config, options.chosen_method
    if options.target_sparsity is None:
        return factorization.factorize(config, model.arrays, options.svd, statistics, method)
    length = options.max_seq_length
    length = length or (model.task or {}).get("max_seq_length", DEFAULT_LENGTH)
    classifies = "output_weights" in model.arrays
    shares = factorization.token_shares(config, length) if classifies else None
    return factorization.compress(
        config,
        model.arrays,
        options.target_sparsity,
        method=method,
        statistics=statistics,
        rank_sharing=options.rank_sharing,
        costs=factorization.kernel_costs(config, options.cost, length, shares, options.runtime),
        rank_multiple=options.rank_multiple,
    )


def cli_main():
    """Entry point of the installed command."""
    cli.run(Options, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
