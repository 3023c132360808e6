"""Freezing as a lever of a run: what is frozen at the start, AutoFreeze, the activation cache."""

import pathlib

from absl import logging

from bert_tf.errors import UserError
from bert_tf.freezing import rule
from bert_tf.freezing.activation_cache import ActivationCache, CacheConfig
from bert_tf.freezing.autofreeze import AutoFreeze
from bert_tf.freezing.layers import freeze
from bert_tf.freezing.summary import freezing_summary, frozen_share, step_costs
from bert_tf.training.lever import Lever


class Freezing(Lever):
    """Freezes the lower layers as the flags say, and keeps their outputs if asked to.

    Args:
      options: `ClassifierOptions` whose `chosen_policy` is not none.

    Attributes:
      cache: the run's `ActivationCache`, or None.
    """

    name = "freezing"
    former_part = ("gradients",)

    def __init__(self, options):
        super().__init__()
        self._options = options
        self._run = self._autofreeze = self.cache = None
        self._computed = 0.0  # seconds of the cache's threads, before the step in hand
        self._costs = {}  # {frozen layers: (cost of a step, cost with a cache)}

    @property
    def conflicts(self):
        """Masks, but for layers that are frozen from start to end."""
        policy = self._options.chosen_policy
        if policy == "static":
            return {}
        sentence = (
            f"--freeze_policy={policy} cannot go with mask training, which counts on its gates to"
            " the end: freeze with --freeze_layers, remove the masks first (remove_mask.py), or"
            " give --factorized=true"
        )
        return {"masks": sentence}

    def source(self, source):
        """Refuses to freeze more layers than the model has."""
        options, layers = self._options, source.config.num_hidden_layers
        counts = [("freeze_layers", options.freeze_layers)]
        counts += [("max_frozen_layers", options.max_frozen_layers or 0)]
        if options.freeze_schedule:
            counts += [("freeze_schedule", n) for _, n in options.schedule_points]
        for flag, count in counts:
            if count > layers:
                raise UserError(
                    f"--{flag}={getattr(options, flag)}: {source.source} has {layers} layers"
                )
        return source

    def begin(self, run):
        """Freezes what is frozen from the start, and logs what that saves."""
        self._run = run
        if self._options.freeze_layers:
            freeze(run.model, self._options.freeze_layers)
        length = max(1, round(float(run.store.lengths.mean())))
        logging.info("\n%s", freezing_summary(run.model.encoder, length, self._first_token_only))
        self._autofreeze = self._make_autofreeze()
        if self._options.activation_cache != "off":
            self.cache = self._make_cache()

    def callbacks(self):
        return [self._autofreeze] if self._autofreeze else []

    def stage(self):
        return self._run.model.encoder.gradient_start if self.cache else None

    def activations(self):
        frozen = self._run.model.encoder.gradient_start
        return self.cache.at(frozen) if self.cache and frozen else None

    def on_train_batch_begin(self, batch, logs=None):
        self._computed = self._seconds_computing()

    def phase(self):
        """The frozen layers, whether all their outputs were cached, and the floor of the time.

        `frozen_layers` is None while the embeddings train, too; `ceiling` is the share of a full
        step that is left by the FLOPs, see `step_costs`.
        """
        frozen = self._run.model.encoder.gradient_start
        computed = self._seconds_computing() - self._computed
        cached = bool(self.cache and frozen and not computed)
        return {"frozen_layers": frozen, "cached": cached, "ceiling": self._ceiling(frozen, cached)}

    def evaluated(self, step, metrics, main):
        if self._autofreeze:
            self._autofreeze.on_evaluation(step, main)

    def state(self):
        return self._autofreeze.get_state() if self._autofreeze else {}

    def restore(self, state):
        if self._autofreeze:  # what is frozen has no slots
            self._autofreeze.set_model(self._run.model)
            self._autofreeze.set_state(state)

    def trackable(self):
        return self._autofreeze.trackable() if self._autofreeze else None

    def report(self):
        """Policy, frozen layers at the end, decisions, and the cache's seconds if there is one.

        They are {read, compute, write} of this session, spent beside the steps.
        """
        found = {
            "policy": self._options.chosen_policy,
            "frozen_layers": self._run.model.encoder.gradient_start or 0,
            "decisions": self._autofreeze.decisions if self._autofreeze else [],
        }
        return {**found, **({"cache_seconds": self.cache.seconds} if self.cache else {})}

    def close(self):
        if self.cache:
            self.cache.close()

    def _seconds_computing(self):
        return self.cache.seconds["compute"] if self.cache else 0.0

    @property
    def _first_token_only(self):
        return self._run.model.reads_first_token

    def _ceiling(self, frozen, cached):
        if frozen is None:
            return 1.0
        if frozen not in self._costs:
            length = float(self._run.store.lengths.mean())
            encoder = self._run.model.encoder
            share = frozen_share(encoder, length, frozen, self._first_token_only)
            self._costs[frozen] = step_costs(share)
        return self._costs[frozen][cached]

    def _make_autofreeze(self):
        options, run = self._options, self._run
        policy = self._policy()
        if policy is None:
            return None
        if options.freeze_warmup and not run.progress.are_updates:
            raise UserError(
                f"--freeze_warmup={options.freeze_warmup} counts updates, a run with --budget does"
                " not: leave it out"
            )
        return AutoFreeze(
            num_intervals=options.num_intervals,
            policy=policy,
            metric=options.freeze_metric,
            warmup_steps=options.freeze_warmup,
            guard=options.freeze_guard,
            guard_margin=options.freeze_guard_margin,
            progress=run.progress,
            log_path=pathlib.Path(run.output_dir) / "freezing.jsonl" if run.chief else None,
            summaries=run.summaries,
            stop_on_freeze=options.activation_cache != "off",
        )

    def _make_cache(self):
        options, run = self._options, self._run
        folder = pathlib.Path(options.cache_dir or pathlib.Path(run.output_dir) / "activations")
        if not run.chief:  # each process of a cluster has its own share
            folder = folder.with_name(f"{folder.name}-{run.strategy.cluster_resolver.task_id}")
        return ActivationCache(
            run.model.encoder,
            run.store,
            CacheConfig(
                mode=options.activation_cache,
                folder=folder,
                dtype=options.cache_dtype,
                budget_bytes=int(options.cache_budget_gb * 1e9),
                keep=options.keep_cache,
            ),
        )

    def _policy(self):
        options, total = self._options, self._run.progress.total
        limits = {"percentile": options.percentile, "most": options.max_frozen_layers}
        if options.chosen_policy == "autofreeze":
            return rule.GradientChange(**limits)
        if options.chosen_policy == "random":
            layers = self._run.model.config.num_hidden_layers
            return rule.RandomChange(layers, seed=options.seed, **limits)
        if options.chosen_policy == "schedule":
            points = options.schedule_points
            return rule.Schedule({max(1, int(share * total)): n for share, n in points})
        return None
