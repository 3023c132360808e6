"""Dense encoder kernels become factors: without loss, or cut to a budget in closed form."""

import dataclasses

from bert_tf.checkpoints import names
from bert_tf.errors import UserError
from bert_tf.packages import require
from flop import decomposition, ranks
from flop.decomposition import Decomposition, component_scores, for_each

_LATENCY_BATCH = 8


@dataclasses.dataclass(frozen=True)
class KernelRow:
    """One kernel of the report.

    Attributes:
      scope: variable scope of the dense layer.
      d_in, d_out: shape of the dense kernel.
      rank: components kept, None for a kernel that stays dense.
      energy: share of the sum of squared (weighted) singular values that is kept.
      loss: predicted rise of an example's loss, None where no gradients were seen. It is of second
        order and for each kernel alone: to compare kernels by, the rise of all cuts is larger.
    """

    scope: str
    d_in: int
    d_out: int
    rank: int | None
    energy: float
    loss: float | None

    @property
    def before(self):
        """Parameters of the dense kernel."""
        return self.d_in * self.d_out

    @property
    def after(self):
        """Parameters of what it became."""
        return self.before if self.rank is None else self.rank * (self.d_in + self.d_out)


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of a model's kernels.

    Attributes:
      rows: `KernelRow`s in the order of the layers.
      scores: {scope: float32 [rank]}, predicted loss of removing a component alone, per parameter
        that it costs; kernels that stay dense have none.
      notes: {name of a source tensor: what became of it}, for tensors that changed.
    """

    rows: list
    scores: dict
    notes: dict

    @property
    def before(self):
        """Parameters of all dense kernels."""
        return sum(row.before for row in self.rows)

    @property
    def after(self):
        """Parameters of all kernels as they are now."""
        return sum(row.after for row in self.rows)

    def table(self):
        """Returns the report as text: one line per kernel, totals last."""
        width = max(len(row.scope) for row in self.rows)
        lines = [f"{'kernel':<{width}}  {'shape':>9}  {'rank':>5}  energy     loss  parameters"]
        for row in self.rows:
            rank = "dense" if row.rank is None else row.rank
            loss = "-" if row.loss is None else f"{row.loss:.2g}"
            lines.append(
                f"{row.scope:<{width}}  {f'{row.d_in}x{row.d_out}':>9}  {rank:>5}"
                f"  {row.energy:>6.1%}  {loss:>7}  {row.after:,} of {row.before:,}"
            )
        total = (
            f"{self.after:,} of {self.before:,} kernel parameters ({self.after / self.before:.1%})"
        )
        losses = [row.loss for row in self.rows if row.loss is not None]
        if losses:
            total += f", predicted rise of the loss {sum(losses):.2g} per example"
        return "\n".join([*lines, total])


def check_dense(config, arrays, source):
    """Refuses a model whose kernels are not plain matrices.

    Raises:
      UserError: it is factorised, masked or compact; `source` names it.
    """
    masked = next((name for name in sorted(arrays) if name.endswith("_g/log_alpha")), None)
    factor = next((name for name in sorted(arrays) if name.endswith("_p/kernel")), None)
    if masked:
        raise UserError(
            f"{source}: is masked already (it has {masked}): remove_mask.py is what comes next"
        )
    if config.pruned_layers_dim:
        raise UserError(
            f"{source}: is compact already (pruned_layers_dim names"
            f" {min(config.pruned_layers_dim)}), expected a dense model"
        )
    if factor:
        raise UserError(
            f"{source}: is factorised already (it has {factor}), expected a dense model"
        )


def factorize(config, arrays, svd="thin", statistics=None, method="svd"):
    """Splits every encoder kernel without loss: into the components that masks choose from.

    Args:
      config: `BertConfig` of a dense model.
      arrays: {Google name: array}; not changed.
      svd: of the plain method: `thin` (rank min(d_in, d_out)) or `full` (rank d_in, as the FLOP
        port has it). The others are thin.
      statistics: {scope: `Statistics`}, from `statistics.collect`; None for `svd`.
      method: one of `decomposition.METHODS`; whose components, and what scores them.

    Returns:
      (config, arrays, `Report`): per kernel `<scope>_p/kernel`, `<scope>_q/kernel` and, if it has a
      bias, `<scope>_q/bias`, all else as it was.

    Raises:
      UserError: the model is not dense.
    """
    check_dense(config, arrays, "the model to factorise")
    shapes = names.dense_scopes(config)

    def split(scope):
        kernel, bias = arrays[f"{scope}/kernel"], arrays.get(f"{scope}/bias")
        if method == "svd":
            p, q = decomposition.svd(kernel, full=svd == "full")
        else:
            p, q = Decomposition(kernel, bias, statistics[scope], method).components()
        return p, q, _scores(p, q, scope, statistics, method)

    parts = dict(zip(shapes, for_each(split, shapes), strict=True))
    factors = {scope: (p, q, arrays.get(f"{scope}/bias")) for scope, (p, q, _) in parts.items()}
    rows = [
        KernelRow(scope, *shape, rank=parts[scope][0].shape[1], energy=1.0, loss=None)
        for scope, shape in shapes.items()
    ]
    report = Report(rows, {scope: s for scope, (*_, s) in parts.items()}, _notes(factors))
    return config, _replace(arrays, factors), report


def compress(
    config,
    arrays,
    target_sparsity,
    *,
    method="svd",
    statistics=None,
    rank_sharing=None,
    costs=None,
    rank_multiple=1,
):
    """Cuts every encoder kernel to a rank at once, without training.

    Args:
      config: `BertConfig` of a dense model.
      arrays: {Google name: array}; not changed.
      target_sparsity: share of the kernels' cost to remove, in [0, 1).
      method: one of `decomposition.METHODS`.
      statistics: {scope: `Statistics`}, from `statistics.collect`; None for `svd`.
      rank_sharing: `uniform` or `global`; None takes `default_sharing`.
      costs: {scope: `ranks.Cost`} from `kernel_costs`; parameters when None.
      rank_multiple: ranks are multiples of this.

    Returns:
      (config, arrays, `Report`): a compact model. The ranks are in `pruned_layers_dim`; kernels
      whose factors would cost as much as themselves stay as they were.

    Raises:
      UserError: the model is not dense.
    """
    check_dense(config, arrays, "the model to factorise")
    shapes = names.dense_scopes(config)
    statistics = statistics or {}

    def decompose(scope):
        kernel, bias = arrays[f"{scope}/kernel"], arrays.get(f"{scope}/bias")
        return Decomposition(kernel, bias, statistics.get(scope), method)

    parts = dict(zip(shapes, for_each(decompose, shapes), strict=True))
    chosen = ranks.share_ranks(
        {scope: part.sigma for scope, part in parts.items()},
        costs or ranks.parameter_costs(shapes),
        target_sparsity,
        rank_sharing or default_sharing(method),
        {scope: _token_share(statistics.get(scope), method) for scope in shapes},
        rank_multiple,
    )
    kept = [scope for scope in shapes if chosen[scope] is not None]
    cut = for_each(lambda scope: parts[scope].truncate(chosen[scope]), kept)
    factors = dict(zip(kept, cut, strict=True))
    scores = {
        scope: _scores(p, q, scope, statistics, method) for scope, (p, q, _) in factors.items()
    }
    rows = [
        _row(scope, shape, chosen[scope], parts[scope], method, statistics.get(scope))
        for scope, shape in shapes.items()
    ]
    dims = {f"{scope}_p/kernel": chosen[scope] for scope in kept}
    config = config.replace(pruned_layers_dim=dims)
    return config, _replace(arrays, factors), Report(rows, scores, _notes(factors))


def default_sharing(method):
    """`global` for `two_sided`, whose singular values are losses; else `uniform`."""
    return "global" if method == "two_sided" else "uniform"


def kernel_costs(config, cost, length, token_shares=None, runtime="tensorflow"):
    """Returns {scope: `ranks.Cost`} of the encoder kernels.

    Args:
      config: `BertConfig`.
      cost: `parameters`, `flops` (multiplications of one example) or `latency` (seconds for a
        batch of 8 examples, measured here and now).
      length: tokens of an example.
      token_shares: {scope: share of the tokens that the kernel runs on}, see `token_shares`; 1 for
        all when None.
      runtime: `tensorflow` or `onnxruntime`, whose latency it is.

    Raises:
      UserError: that is not installed.
    """
    shapes = names.dense_scopes(config)
    if cost == "parameters":
        return ranks.parameter_costs(shapes)
    token_shares = token_shares or dict.fromkeys(shapes, 1.0)
    if cost == "flops":
        return ranks.parameter_costs(shapes, {s: length * token_shares[s] for s in shapes})
    from flop.latency_cost import latency_costs  # imports TensorFlow

    rows = {s: max(1, round(_LATENCY_BATCH * length * token_shares[s])) for s in shapes}
    if runtime == "tensorflow":
        return latency_costs(shapes, rows)
    for module in ("onnx", "onnxruntime"):
        require(module, f"--runtime={runtime}")
    from flop.onnx_products import onnxruntime_product

    return latency_costs(shapes, rows, onnxruntime_product)


def token_shares(config, length):
    """Returns {scope: share of an example's tokens that the kernel runs on} in a classifier.

    The last layer computes the first token only, for which it needs the keys and values of all.

    Args:
      config: `BertConfig`.
      length: tokens of an example.
    """
    last = f"bert/encoder/layer_{config.num_hidden_layers - 1}/"
    return {
        scope: 1 / length
        if scope.startswith(last) and not scope.endswith(("/key", "/value"))
        else 1.0
        for scope in names.dense_scopes(config)
    }


def _token_share(statistics, method):
    return statistics.share if method in ("whitened", "two_sided") else 1.0


def _scores(p, q, scope, statistics, method):
    found = (statistics or {}).get(scope)
    return component_scores(p, q, found, method) / (p.shape[0] + q.shape[1])


def _row(scope, shape, rank, part, method, statistics):
    kept = len(part.sigma) if rank is None else rank
    loss = None
    if method == "two_sided":
        # Second order, with the mean of squared gradients for the curvature.
        lost = float((part.sigma[kept:] ** 2).sum())
        loss = 0.5 * statistics.tokens / statistics.examples * lost
    return KernelRow(scope, *shape, rank=rank, energy=part.energy(kept), loss=loss)


def _notes(factors):
    notes = {}
    for scope in factors:
        leaf = scope.rsplit("/", 1)[-1]
        notes[f"{scope}/kernel"] = f"now {leaf}_p/kernel and {leaf}_q/kernel"
        if factors[scope][2] is not None:
            notes[f"{scope}/bias"] = f"now {leaf}_q/bias"
    return notes


def _replace(arrays, factors):
    """The arrays with the kernels and biases of `factors` {scope: (p, q, bias)} in their form."""
    arrays = dict(arrays)
    for scope, (p, q, bias) in factors.items():
        del arrays[f"{scope}/kernel"]
        arrays[f"{scope}_p/kernel"] = p
        arrays[f"{scope}_q/kernel"] = q
        if bias is not None:
            del arrays[f"{scope}/bias"]
            arrays[f"{scope}_q/bias"] = bias
    return arrays
