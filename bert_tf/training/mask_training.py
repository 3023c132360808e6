"""What a run with masks adds to fine-tuning: which kernels have them, their start, their pruner."""

import pathlib

import numpy as np
from absl import logging

from bert_tf.checkpoints import names
from bert_tf.checkpoints.mask_scores import initial_log_alphas, read_scores
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.options import names_that_need
from bert_tf.training.optimization import AdamW
from bert_tf.training.pruning_options import MASKS
from bert_tf.training.schedules import Noam
from flop import sparsity
from flop.pruner import Pruner

# The original divides by sqrt(768) whatever the hidden size; its rates are to mean the same here.
_NOAM_SIZE = 768
_NEAR = 0.02  # asappresearch/flop keeps a best model only this close to its target


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


def configure(options, source):
    """Returns the run's `BertConfig`: the model's, with the mask evaluation that is asked for."""
    config = source.config
    if not options.mask_evaluation:
        return config
    return config.replace(extra={**config.extra, "mask_evaluation": options.mask_evaluation})


def build_encoder(config, arrays, masks):
    """Returns the `BertEncoder` whose kernels are dense, factorised or masked as `arrays` say."""
    factory = kernels.factory(config, arrays, masked=masks or None)
    return BertEncoder(config, dense_factory=factory)


def start_masks(options, source, encoder):
    """Sets log_alpha of the encoder's masks as `--init_masks` says, unless the model brought them.

    Raises:
      UserError: scores are asked for and the model folder has none that fit.
    """
    if options.init_masks == "constant":
        return
    path = options.model_dir or options.init_checkpoint
    if kernels.is_masked(source.arrays):
        raise UserError(f"--init_masks=scores: {source.source} has trained masks already")
    layers = masked_layers(encoder)
    shapes = {x.scope: (x.input_units, x.units, x.rank) for x in layers}
    folder = pathlib.Path(path) if pathlib.Path(path).is_dir() else pathlib.Path(path).parent
    scores = read_scores(folder, shapes)
    base, fixed = _base(options, source)
    values = initial_log_alphas(scores, shapes, base, fixed, options.target_sparsity)
    for layer in layers:
        layer.mask.log_alpha.assign(values[layer.scope])


def make_pruner(options, source, encoder, total_steps):
    """Returns the `Pruner` of the encoder's masks, with the original's optimizers.

    Call it once the weights are assigned: against the dense kernels, the target rises from the
    expected sparsity that the masks start with.

    Raises:
      UserError: the kernels without masks alone are more than the target leaves.
    """
    warmup = options.target_sparsity_warmup
    base, fixed = _base(options, source)
    if 1 - fixed / base < options.target_sparsity:
        raise UserError(
            f"--target_sparsity={options.target_sparsity}: {source.source} has kernels without"
            f" masks, so that {1 - fixed / base:.4f} is the most that masks can remove: give less,"
            " or start from a model cut further by factorize.py"
        )
    pruner = Pruner(
        masked_layers(encoder),
        options.target_sparsity,
        target_warmup=total_steps // 3 if warmup is None else warmup,
        base_parameters=base,
        fixed_parameters=fixed,
        gate_optimizer=_adam(options.alpha_learning_rate, options.learning_rate_warmup),
        lambda_optimizer=_adam(options.lambda_learning_rate, options.learning_rate_warmup),
    )
    if options.sparsity_base == "dense":
        start = float(pruner.expected_sparsity())
        pruner.initial_sparsity = min(start, options.target_sparsity)
    logging.info(
        "%d masks on %d ranks: expected sparsity %.3f, target %.3f after %d updates",
        len(pruner.gates),
        sum(layer.rank for layer in pruner.layers),
        float(pruner.expected_sparsity()),
        pruner.target_sparsity,
        pruner.target_warmup,
    )
    return pruner


def near_target(pruner):
    """Returns the callable that says whether cutting now would come within 0.02 of the target."""
    return lambda: pruner.removed_sparsity() > pruner.target_sparsity - _NEAR


def masked_layers(encoder):
    """Returns the encoder's `FactorizedDense` layers that have a mask, bottom to top."""
    return [
        kernel
        for layer in encoder.encoder_layers
        for kernel in layer.kernels
        if getattr(kernel, "mask", None) is not None
    ]


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
