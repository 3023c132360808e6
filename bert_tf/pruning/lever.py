"""Mask training as a lever: gates on factorised kernels, and the pruner that closes them."""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf.checkpoints import names
from bert_tf.checkpoints.mask_scores import initial_log_alphas, read_scores
from bert_tf.encoder import kernels
from bert_tf.errors import UserError
from bert_tf.options import names_that_need
from bert_tf.pruning.options import MASKS
from bert_tf.pruning.summaries import PruningSummaries
from bert_tf.training.lever import Lever
from bert_tf.training.optimization import AdamW
from bert_tf.training.schedules import Noam
from flop import sparsity
from flop.hard_concrete import gate_seed
from flop.pruner import Pruner

# The original divides by sqrt(768) whatever the hidden size; its rates are to mean the same here.
_NOAM_SIZE = 768
_NEAR = 0.02  # asappresearch/flop keeps a best model only this close to its target
_GATE_NOISE = 0x6A7E  # keeps the gates' noise apart from the dropout masks of the same step
_OPEN = 5.0  # log_alpha of a gate that is open 99.9 % of the time


class GateTraining(Lever):
    """Trains the gates and multipliers of a pruner beside the weights.

    Args:
      pruner: `flop.pruner.Pruner` of the model's gates.
    """

    name = "masks"
    former_part = ("model", "pruner")

    def __init__(self, pruner=None):
        super().__init__()
        self.pruner = pruner
        self._counted = lambda step: step

    @property
    def variables(self):
        """The gates."""
        return self.pruner.gates

    def noise(self, seed):
        return gate_seed(tf.random.experimental.stateless_fold_in(seed, _GATE_NOISE))

    def update(self, step, own, weights, applied):
        """Logs what `Pruner.update` does, and an l2 loss of 0 where there is none."""
        return {
            "l2_regularization_loss": tf.constant(0.0),
            **self.pruner.update(self._counted(step), own, applied),
        }

    def create_slots(self):
        self.pruner.create_slots()

    def may_be_best(self):
        """Whether cutting now would come within 0.02 of the target."""
        return self.pruner.removed_sparsity() > self.pruner.target_sparsity - _NEAR

    def trackable(self):
        return self.pruner


class Masks(GateTraining):
    """Mask training as the flags say.

    Args:
      options: `ClassifierOptions`.
    """

    def __init__(self, options):
        super().__init__()
        self._options = options
        self._run = None

    def source(self, source):
        """Sets the masks' evaluation, and to train them gives each factorised kernel a log_alpha.

        Raises:
          UserError: scores are asked for and the model folder has none that fit, or has masks.
        """
        if self._options.mask_evaluation:
            extra = {**source.config.extra, "mask_evaluation": self._options.mask_evaluation}
            source = dataclasses.replace(source, config=source.config.replace(extra=extra))
        return self._with_gates(source) if self._options.do_train else source

    def _with_gates(self, source):
        shapes = _factor_shapes(source)
        scored = self._options.init_masks == "scores"
        if kernels.is_masked(source.arrays):
            if scored:
                raise UserError(f"--init_masks=scores: {source.source} has trained masks already")
            shapes = {s: x for s, x in shapes.items() if f"{s}_g/log_alpha" not in source.arrays}
        start = {scope: np.full(rank, _OPEN, np.float32) for scope, (*_, rank) in shapes.items()}
        if scored:
            start = self._by_scores(source, shapes)
        gates = {f"{scope}_g/log_alpha": values for scope, values in start.items()}
        return dataclasses.replace(source, arrays={**(source.arrays or {}), **gates})

    def begin(self, run):
        self._run = run
        total = run.progress.total
        self.pruner = make_pruner(self._options, run.source, run.model.encoder, total)
        if self._options.target_sparsity_warmup is None:
            self._counted = run.progress.traced  # a third of what the run counts

    def identity(self):
        return {"mask training": True}

    def callbacks(self):
        run = self._run
        if not run.chief:
            return []
        scopes, every = names.dense_scopes(run.source.config), self._options.log_steps
        return [PruningSummaries(run.summaries, self.pruner, scopes, run.progress, every)]

    def settled(self):
        config, given = self._run.source.config, self._options.target_sparsity_warmup
        updates = given is not None or self._run.progress.are_updates
        return {
            "target_sparsity_warmup": self.pruner.target_warmup if updates else "a third",
            "mask_evaluation": kernels.mask_evaluation(config),
            "hidden_dropout_prob": config.hidden_dropout_prob,
            "attention_probs_dropout_prob": config.attention_probs_dropout_prob,
        }

    def _by_scores(self, source, shapes):
        path = pathlib.Path(source.path)
        scores = read_scores(path if path.is_dir() else path.parent, shapes)
        base, fixed = _base(self._options, source)
        return initial_log_alphas(scores, shapes, base, fixed, self._options.target_sparsity)


def trains_masks(options, source):
    """Whether the run trains masks; see the flag `factorized`.

    Args:
      options: `ClassifierOptions`.
      source: `LoadedModel` to start from.

    Raises:
      UserError: masks are asked for and the model is not factorised, or it has masks and they are
        to be left out; a flag of mask training has no effect.
    """
    ranks = kernels.factorized_ranks(source.config, source.arrays)
    has_masks = kernels.is_masked(source.arrays)
    if not options.do_train:
        if options.mask_evaluation and not has_masks:
            raise UserError(f"--mask_evaluation has no effect: {source.source} has no masks")
        return False
    if options.factorized and has_masks:
        raise UserError(
            f"--factorized: {source.source} has masks: remove them with remove_mask.py first"
        )
    stray = [name for name in names_that_need(options, MASKS) if name in options.given]
    if options.factorized is False and not ranks:
        raise UserError(
            f"--factorized=false: {source.source} is not factorised, there is nothing to put masks"
            " on: run factorize.py first"
        )
    masks = has_masks or (options.factorized is False)
    if options.factorized is None and ranks and not source.config.pruned_layers_dim:
        masks = True
    if stray and not masks:
        why = "is a compact model" if ranks else "is not factorised: run factorize.py first"
        hint = " (--factorized=false puts masks on it again)" if ranks else ""
        raise UserError(f"--{stray[0]} has no effect: {source.source} {why}{hint}")
    if not options.learning_rate and not masks:
        raise UserError("--learning_rate=0 trains nothing: the model has no masks")
    if not options.learning_rate and options.precision == "float16":
        raise UserError(
            "--learning_rate=0 cannot adapt the loss scale of --precision=float16: use bfloat16"
        )
    return masks


def make_pruner(options, source, encoder, total):
    """Returns the `Pruner` of the encoder's masks, with the original's optimizers.

    Call it once the weights are assigned and layers are frozen: against the dense kernels, the
    target rises from the expected sparsity that the masks start with. `total` is what the whole
    run counts, see `Run.progress`.

    Raises:
      UserError: the kernels without masks alone are more than the target leaves, or all layers
        with masks are frozen.
    """
    warmup = options.target_sparsity_warmup
    base, fixed = _base(options, source)
    if 1 - fixed / base < options.target_sparsity:
        raise UserError(
            f"--target_sparsity={options.target_sparsity}: {source.source} has kernels without"
            f" masks, so that {1 - fixed / base:.4f} is the most that masks can remove: give less,"
            " or start from a model cut further by factorize.py"
        )
    layers = masked_layers(encoder)
    if not any(layer.trainable for layer in layers):
        raise UserError(
            "--freeze_layers leaves no layer whose masks could be trained: freeze fewer, or give"
            " --factorized=true"
        )
    pruner = Pruner(
        layers,
        options.target_sparsity,
        target_warmup=total // 3 if warmup is None else warmup,
        base_parameters=base,
        fixed_parameters=fixed,
        gate_optimizer=_adam(options.alpha_learning_rate, options.learning_rate_warmup),
        lambda_optimizer=_adam(options.lambda_learning_rate, options.learning_rate_warmup),
    )
    if options.sparsity_base == "dense":
        start = float(pruner.expected_sparsity())
        pruner.initial_sparsity = min(start, options.target_sparsity)
    logging.info(
        "%d masks on %d ranks: expected sparsity %.3f, target %.3f after %s",
        len(pruner.gates),
        sum(layer.rank for layer in pruner.layers),
        float(pruner.expected_sparsity()),
        pruner.target_sparsity,
        "a third of the training" if warmup is None else f"{warmup} updates",
    )
    return pruner


def masked_layers(encoder):
    """Returns the encoder's `FactorizedDense` layers that have a mask, bottom to top."""
    return [
        kernel
        for layer in encoder.encoder_layers
        for kernel in layer.kernels
        if getattr(kernel, "mask", None) is not None
    ]


def _factor_shapes(source):
    """{scope: (d_in, d_out, rank)} of the factorised kernels, bottom to top."""
    ranks = kernels.factorized_ranks(source.config, source.arrays)
    scopes = names.dense_scopes(source.config)
    return {scope: (*scopes[scope], rank) for scope, rank in ranks.items()}


def _base(options, source):
    """(parameters that sparsity is a share of, those of kernels that are not factorised)."""
    ranks = kernels.factorized_ranks(source.config, source.arrays)
    scopes = names.dense_scopes(source.config)
    shapes = [(*shape, ranks.get(scope)) for scope, shape in scopes.items()]
    fixed = sum(int(np.prod(scopes[scope])) for scope in scopes if scope not in ranks)
    return sparsity.base_parameters(shapes, options.sparsity_base), fixed


def _adam(scale, warmup):
    schedule = Noam(scale, warmup, _NOAM_SIZE)
    # Not the fused kernel: its 1 - beta_2 in float32 is 5e-5 off, which shows in the multipliers.
    return AdamW(schedule, weight_decay=0.0, epsilon=1e-8, bias_correction=False, fused=False)
