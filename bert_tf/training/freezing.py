"""What freezing adds to a run: which layers are frozen at the start, the callback, the cache."""

import pathlib

from absl import logging

from bert_tf.errors import UserError
from bert_tf.freezing import ActivationCache, AutoFreeze, CacheConfig, freeze, rule
from bert_tf.freezing.summary import freezing_summary
from bert_tf.training import distribution


def check(options, source, masks):
    """Refuses what does not go together with freezing.

    Raises:
      UserError: masks are trained or a teacher's states needed, or more layers are to be frozen
        than the model has.
    """
    if options.chosen_policy == "none":
        return
    if masks:
        raise UserError(
            "--freeze_policy and --freeze_layers cannot go with mask training: remove the masks"
            " first (remove_mask.py), or give --factorized=true"
        )
    if options.teacher_model_dir and options.activation_cache != "off":
        raise UserError(
            "--activation_cache cannot go with --teacher_model_dir, which needs the states of all"
            " layers: give one of them"
        )
    layers = source.config.num_hidden_layers
    counts = [("freeze_layers", options.freeze_layers)]
    counts += [("max_frozen_layers", options.max_frozen_layers or 0)]
    if options.freeze_schedule:
        counts += [("freeze_schedule", n) for _, n in options.schedule_points]
    for flag, count in counts:
        if count > layers:
            raise UserError(
                f"--{flag}={getattr(options, flag)}: {source.source} has {layers} layers"
            )


def start(options, model, store):
    """Freezes what is frozen from the start, and logs what that saves."""
    if options.chosen_policy == "none":
        return
    if options.freeze_layers:
        freeze(model, options.freeze_layers)
    length = max(1, round(float(store.lengths.mean())))
    logging.info("\n%s", freezing_summary(model.encoder, length))


def make_callback(options, model, total_steps, output_dir=None, summaries=None):
    """Returns the run's `AutoFreeze`, or None.

    Args:
      options: `ClassifierOptions`.
      model: `SequenceClassifier`.
      total_steps: updates of the whole run.
      output_dir, summaries: where the chief writes freezing.jsonl and TensorBoard's scalars; None
        on the other workers.
    """
    policy = _policy(options, model, total_steps)
    if policy is None:
        return None
    return AutoFreeze(
        num_intervals=options.num_intervals,
        policy=policy,
        metric=options.freeze_metric,
        warmup_steps=options.freeze_warmup,
        guard=options.freeze_guard,
        guard_margin=options.freeze_guard_margin,
        total_steps=total_steps,
        log_path=output_dir and pathlib.Path(output_dir) / "freezing.jsonl",
        summaries=summaries,
        stop_on_freeze=options.activation_cache != "off",
    )


def make_cache(options, model, store, output_dir, strategy):
    """Returns the run's `ActivationCache`, or None."""
    if options.activation_cache == "off":
        return None
    folder = pathlib.Path(options.cache_dir or pathlib.Path(output_dir) / "activations")
    if not distribution.is_chief(strategy):  # each process of a cluster has its own share
        folder = folder.with_name(f"{folder.name}-{strategy.cluster_resolver.task_id}")
    return ActivationCache(
        model.encoder,
        store,
        CacheConfig(
            mode=options.activation_cache,
            folder=folder,
            dtype=options.cache_dtype,
            budget_bytes=int(options.cache_budget_gb * 1e9),
            keep=options.keep_cache,
        ),
    )


def report(options, model, callback, cache):
    """Returns what results.json says of freezing, or None without any.

    Args:
      options: `ClassifierOptions`.
      model: `SequenceClassifier`, trained.
      callback: the run's `AutoFreeze`, or None.
      cache: the run's `ActivationCache`, or None.

    Returns:
      dict: `policy`, `frozen_layers` at the end, `decisions` of `AutoFreeze`, and with a cache
      `cache_seconds` {read, compute, write} of this session, spent beside the steps.
    """
    if options.chosen_policy == "none":
        return None
    found = {
        "policy": options.chosen_policy,
        "frozen_layers": model.encoder.gradient_start or 0,
        "decisions": callback.decisions if callback else [],
    }
    return {**found, **({"cache_seconds": cache.seconds} if cache else {})}


def _policy(options, model, total_steps):
    layers = model.config.num_hidden_layers
    limits = {"percentile": options.percentile, "most": options.max_frozen_layers}
    if options.chosen_policy == "autofreeze":
        return rule.GradientChange(**limits)
    if options.chosen_policy == "random":
        return rule.RandomChange(layers, seed=options.seed, **limits)
    if options.chosen_policy == "schedule":
        return rule.Schedule({max(1, int(s * total_steps)): n for s, n in options.schedule_points})
    return None
