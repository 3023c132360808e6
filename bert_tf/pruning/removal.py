"""Masked BERT models made compact: a pure function on configuration and arrays."""

import dataclasses
import pathlib

import numpy as np

from bert_tf import files
from bert_tf.checkpoints import forms, names
from bert_tf.checkpoints.model_folder import save_model_folder
from bert_tf.config import BertConfig
from bert_tf.encoder.kernels import mask_evaluation
from bert_tf.errors import UserError
from flop import compaction, hard_concrete, report
from flop.report import KernelRow, Totals

_FORM = forms.model_folder(also=["info.txt", "layers.txt", "layers.png"])
_FLAG = "output_folder_dir"
_MULTIPLIERS = ("lambda_1", "lambda_2")  # the TensorFlow port's checkpoints hold them


@dataclasses.dataclass(frozen=True)
class Removal:
    """A compact model and what it was made of.

    Attributes:
      config: `BertConfig`; its `pruned_layers_dim` has the rank of every kernel still factorised.
      arrays: {Google name: array}, without log_alpha.
      rows: [`KernelRow`] of the kernels of each layer.
      info: {field: value} of info.txt.
      evaluation: the mode of the gates that were folded in, `clipped` or `hard`.
      open_components: components that the gates had left open.
      open_cut: how many of these were cut: above 0, the outputs change.
    """

    config: BertConfig
    arrays: dict[str, np.ndarray]
    rows: list[KernelRow]
    info: dict
    evaluation: str
    open_components: int
    open_cut: int


def remove_masks(
    config,
    arrays,
    threshold=0.0,
    target_sparsity=None,
    sparsity_base="dense",
    merge_dense=True,
    evaluation=None,
    source="the model",
):
    """Folds the gates of a masked model into its kernels and cuts what is closed.

    The pooler, the heads, embeddings and norms stay as they are. A kernel of rank 0 is legal: its
    layer is its bias, or zero.

    Args:
      config: `BertConfig` of the masked model.
      arrays: {Google name: array}, with `<scope>_g/log_alpha` for the factorised kernels.
      threshold: components whose gate is at or below it are cut, in [0, 1]; 0 keeps the outputs.
      target_sparsity: cut until this share of `sparsity_base` is gone, in [0, 1], instead of by
        threshold; None does not.
      sparsity_base: `dense` or `factorized`, see `compaction.choose_cut`.
      merge_dense: multiply factors at or above break-even back into one dense kernel.
      evaluation: `clipped` or `hard`; None takes what the configuration records, else `clipped`.
      source: what to call the model in errors (its path).

    Returns:
      A `Removal`.

    Raises:
      UserError: the model has no masks or not for all its factorised kernels, a value is outside
        its range, or the target cannot be met (the message says what can be).
    """
    _check_range(threshold, target_sparsity)
    kernels = _masked_kernels(config, arrays, source)
    evaluation = _evaluation_mode(config, evaluation, source)
    gates = {scope: kernel.gates(evaluation) for scope, kernel in kernels.items()}
    if target_sparsity is None:
        keep = {s: compaction.open_components(gates[s], threshold) for s in kernels}
    else:
        scopes = names.dense_scopes(config)
        dense = sum(d_in * d_out for s, (d_in, d_out) in scopes.items() if s not in kernels)
        try:
            keep = compaction.choose_cut(
                kernels, gates, target_sparsity, sparsity_base, merge_dense, dense
            )
        except ValueError as e:
            raise UserError(f"{source}: --{e}") from e
    rows = _rows(config, kernels, keep, merge_dense)
    compact = _compact_arrays(arrays, kernels, gates, keep, rows)
    ranks = {
        f"{row.name}_p/kernel": row.rank
        for row in rows
        if row.name in kernels and row.form != "dense"
    }
    extra = {k: v for k, v in config.extra.items() if k != "mask_evaluation"}
    config = config.replace(pruned_layers_dim=ranks, extra=extra)
    is_open = {scope: compaction.open_components(gates[scope], 0.0) for scope in kernels}
    return Removal(
        config,
        compact,
        rows,
        _info(rows, compact),
        evaluation,
        open_components=sum(int(found.sum()) for found in is_open.values()),
        open_cut=sum(int((is_open[scope] & ~keep[scope]).sum()) for scope in kernels),
    )


def info_text(info):
    """Returns the text of info.txt, in the TensorFlow port's form: `field: value` lines."""
    return "".join(
        f"{field}: {value:f}\n" if isinstance(value, float) else f"{field}: {value}\n"
        for field, value in info.items()
    )


def save(removal, folder, vocab_file=None, task=None, also=None):
    """Writes a model folder with info.txt, layers.txt (`report.table`) and layers.png.

    Args:
      removal: `Removal`.
      folder, vocab_file, task: see `save_model_folder`.
      also: callable (folder) that writes more of a model folder's files.

    Returns:
      The folder (`pathlib.Path`).

    Raises:
      UserError: it holds anything but an earlier output, or cannot be written; it is then
        untouched.
    """
    with forms.output(folder, _FORM, _FLAG) as new:
        save_model_folder(new, removal.config, removal.arrays, vocab_file, task)
        files.write_text(new / "info.txt", info_text(removal.info))
        files.write_text(new / "layers.txt", report.table(removal.rows) + "\n")
        with files.atomic_path(new / "layers.png") as temporary:
            report.save_ranks_image(temporary, removal.rows)
        if also:
            also(new)
    return pathlib.Path(folder)


def check_output(folder):
    """Refuses a folder that `save` would refuse, before any work, see `forms.check_output`."""
    forms.check_output(folder, _FORM, _FLAG)


def _check_range(threshold, target_sparsity):
    for flag, value in (("threshold", threshold), ("target_sparsity", target_sparsity)):
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"--{flag}={value}: expected a number in [0, 1]")


def _masked_kernels(config, arrays, source):
    """Returns {scope: `MaskedKernel`}; the kernels that are dense are not in it."""
    kernels, bare = {}, []
    for scope in names.dense_scopes(config):
        if f"{scope}_g/log_alpha" in arrays:
            kernels[scope] = compaction.MaskedKernel(
                arrays[f"{scope}_p/kernel"],
                arrays[f"{scope}_q/kernel"],
                arrays[f"{scope}_g/log_alpha"],
            )
        elif f"{scope}_p/kernel" in arrays:
            bare.append(scope)
    if not kernels:
        kind = "is factorised but has no masks" if bare else "has no masks: its kernels are dense"
        first = "" if bare else "factorise it with factorize.py, then "
        raise UserError(
            f"{source}: {kind} (no variable ends in _g/log_alpha): {first}train masks with"
            " run_classifier.py --target_sparsity before they can be removed"
        )
    if bare:
        raise UserError(
            f"{source}: {len(bare)} of its factorised kernels have no mask, the first is"
            f" {bare[0]}: expected {bare[0]}_g/log_alpha"
        )
    return kernels


def _evaluation_mode(config, evaluation, source):
    if evaluation is None:
        evaluation = mask_evaluation(config)
    if evaluation not in hard_concrete.EVALUATIONS:
        raise UserError(
            f"{source}: mask_evaluation is {evaluation!r}, expected one of"
            f" {', '.join(hard_concrete.EVALUATIONS)}"
        )
    return evaluation


def _rows(config, kernels, keep, merge_dense):
    rows = []
    for scope, (d_in, d_out) in names.dense_scopes(config).items():
        ranks = ()
        if scope in kernels:
            ranks = kernels[scope].rank, int(keep[scope].sum())
        rows.append(KernelRow.of(scope, d_in, d_out, *ranks, merge_dense=merge_dense))
    return rows


def _compact_arrays(arrays, kernels, gates, keep, rows):
    """Returns the arrays of the compact model, in the form that each row says."""
    compact = {name: array for name, array in arrays.items() if name not in _MULTIPLIERS}
    for row in rows:
        scope = row.name
        if scope not in kernels:
            continue
        del compact[f"{scope}_g/log_alpha"]
        kernel = kernels[scope]
        z = compaction.kept_gates(kernel, gates[scope], keep[scope])
        p, q = compaction.fold(kernel, z, keep[scope])
        if row.form == "dense":
            del compact[f"{scope}_p/kernel"], compact[f"{scope}_q/kernel"]
            compact[f"{scope}/kernel"] = compaction.merge(p, q)
            if f"{scope}_q/bias" in compact:
                compact[f"{scope}/bias"] = compact.pop(f"{scope}_q/bias")
        else:
            compact[f"{scope}_p/kernel"], compact[f"{scope}_q/kernel"] = p, q
    return compact


def _info(rows, compact):
    """The eight fields of the port's info.txt; a merged kernel counts with its dense size.

    As there, `non_kernel_params` are all variables without "kernel" in their name, and the kernels
    of the pooler and of the embeddings' projection are in none of the totals.
    """
    totals = Totals.of(rows)
    others = sum(int(array.size) for name, array in compact.items() if "kernel" not in name)
    return {
        "dense_total_params": totals.before,
        "dense_pruned_params": totals.after,
        "dense_origin_params": totals.dense,
        "dense_sparsity": 1 - totals.after / totals.before if totals.before else 0.0,
        "non_kernel_params": others,
        "total_params": totals.dense + others,
        "pruned_total_params": totals.after + others,
        "actual_compact_rate": (totals.after + others) / (totals.dense + others),
    }
