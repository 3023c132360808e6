"""Width- and depth-adaptive training (DynaBERT: Hou et al., 2020) as a lever of a run."""

import dataclasses
import functools
import math
import shutil

import tensorflow as tf
from absl import logging

from bert_tf.checkpoints.report import assign_arrays
from bert_tf.dynabert import importance, rewiring
from bert_tf.dynabert.export import RECORD, export
from bert_tf.dynabert.options import PHASES, parse_sampling
from bert_tf.dynabert.record import depth_rule, recorded, warnings
from bert_tf.encoder import Subnetwork
from bert_tf.errors import UserError
from bert_tf.training import distribution
from bert_tf.training.best import BestModel
from bert_tf.training.lever import Lever
from bert_tf.training.state import STATE_FILE

IMPORTANCE_FILE = "importance.npz"
_SAMPLING = 0x5B6E  # keeps the draws of sub-networks apart from others of the same step


class DynaBert(Lever):
    """Trains and evaluates the sub-networks of the flags' widths and depths.

    Args:
      options: `DynaBertOptions` of a program.
    """

    name = "dynabert"

    def __init__(self, options):
        super().__init__()
        self._options = options
        self._run = None
        self._subnetworks = []
        self._best = {}  # {name of a sub-network: `BestModel`}

    @property
    def conflicts(self):
        """Masks, and caches of activations, which each sub-network would need of its own."""
        if not self._options.do_train or self._options.trains_whole:
            return {}
        found = {
            "masks": "sub-networks cannot be trained beside masks: train them on the compact model"
            " that remove_mask.py makes, or put masks on an exported sub-network"
        }
        if getattr(self._options, "activation_cache", "off") != "off":
            found["freezing"] = (
                "--activation_cache keeps what the whole model computes, which a sub-network does"
                " not: leave it out, or export the sub-network and freeze that"
            )
        return found

    def check(self, source):
        """Raises `UserError` where the phase of the flags does not follow on what `source` is."""
        phase, record = self._options.training_phase, recorded(source.config)
        before = record.get("phase")
        if phase == "dynabertw" and record.get("rewired"):
            raise UserError(
                f"--training_phase=dynabertw: {source.source} was rewired before (its heads and"
                " neurons are in order already): go on with --training_phase=dynabert, or start"
                " from the fine-tuned model"
            )
        if phase in ("dynabert", "final_finetuning") and not record.get("rewired"):
            raise UserError(
                f"--training_phase={phase}: the heads and neurons of {source.source} are in no"
                " order: run --training_phase=dynabertw on it first"
            )
        if before in PHASES and PHASES.index(before) > PHASES.index(phase) > 0:
            raise UserError(
                f"--training_phase={phase}: {source.source} has been through {before}: start from"
                " the model before that phase"
            )

    def source(self, source):
        """Refuses what cannot be rewired; the configuration records what is made of the model."""
        options, config = self._options, source.config
        rule = depth_rule(config, options.depth_rule)
        self._subnetworks = _distinct(
            Subnetwork.of(config, width, depth, rule)
            for depth in options.depths
            for width in options.widths
        )
        if not options.do_train:
            for sentence in warnings(source, options.widths, options.depths):
                logging.warning("%s", sentence)
            return source
        if options.training_phase == "dynabertw" and options.HEAD not in (source.arrays or {}):
            raise UserError(
                f"--training_phase=dynabertw: {source.source} has no classifier of this task, whose"
                " loss would say what matters: give a --model_dir that was fine-tuned on it"
            )
        self._warn_of_untrained()
        record = {"rewired": bool(recorded(config).get("rewired"))}
        if not options.trains_whole:
            record = {
                "phase": options.training_phase,
                "widths": options.widths,
                "depths": options.depths,
                "depth_rule": rule,
                "rewired": record["rewired"] or options.training_phase == "dynabertw",
            }
        extra = {**config.extra, RECORD: record}
        return dataclasses.replace(source, config=config.replace(extra=extra))

    def begin(self, run):
        self._run = run
        resumed = bool(
            distribution.value_of_chief(
                run.strategy, int((run.output_dir / STATE_FILE).exists())
            )
        )  # fmt: skip
        kept = run.output_dir / "subnetworks"
        if run.chief and not resumed and kept.exists():
            logging.info("%s: the sub-networks of an earlier run are removed", kept)
            shutil.rmtree(kept)
        if self._options.keep_best_subnetworks and run.chief:
            for part in self._subnetworks:
                folder = kept / part.name
                self._best[part.name] = BestModel(folder, functools.partial(self._save, part))
                self._best[part.name].recall(int(resumed))
        # A resumed run's weights are in that order.
        if self._options.training_phase == "dynabertw" and not resumed:
            self._rewire()

    def passes(self, passes):
        """Each pass once for each sub-network, the largest first, as the original has them."""
        if self._options.trains_whole:
            return passes
        count = len(self._subnetworks)
        kind, random = parse_sampling(self._options.subnetwork_sampling)
        fixed = [0, count - 1] if kind == "sandwich" else []
        whole = {} if self._options.hidden_loss == "tokens" else {"first_token_only": False}
        if kind == "all" or len(fixed) + random >= count:
            fixed, random = range(count), 0
        found = []
        for index, part in enumerate(self._subnetworks):
            drawn = {}
            if index not in fixed:
                rest = count - len(fixed)
                draw = functools.partial(_is_drawn, index, fixed, count, random, self._run)
                drawn = {"when": draw, "weight": rest / random}
            for one in passes:
                forward = {**one.forward, **part.forward, **whole}
                found.append(dataclasses.replace(one, forward=forward, **drawn))
        return tuple(found)

    def views(self):
        if self._options.trains_whole:
            return None
        return {part.name: part.forward for part in self._subnetworks}

    def evaluated(self, step, metrics, main):
        """Keeps the sub-networks that are better than before, where that is asked for."""
        split, first = next(iter(metrics.items()))
        metric = next(iter(first)).removeprefix("mean_")
        for name, best in self._best.items():
            values = {key: first[f"{key}_{name}"] for key in (metric, "loss")}
            if values[metric] > best.evaluation.get("value", -math.inf):
                found = {"metric": metric, "value": values[metric], "step": step}
                best.keep({**found, "metrics": {split: values}})

    def report(self):
        options = self._options
        found = {
            "phase": options.training_phase,
            "widths": options.widths,
            "depths": options.depths,
            "sampling": options.subnetwork_sampling,
            "subnetworks": [
                {"name": part.name, "layers": part.layers, "units": part.units}
                for part in self._subnetworks
            ],
        }
        best = {name: best.evaluation for name, best in self._best.items()}
        return {**found, **({"best_subnetworks": best} if best else {})}

    def _warn_of_untrained(self):
        for name, values in (("width", self._options.widths), ("depth", self._options.depths)):
            if values[0] < 1:
                what = "heads and neurons" if name == "width" else "layers"
                logging.warning(
                    "--%s_mult_list has no 1.0: the %s beyond %g have no gradient, and stay"
                    " untrained", name, what, values[0],
                )  # fmt: skip

    def _rewire(self):
        """Puts the most important heads and neurons of the model first."""
        run = self._run
        path, config = run.output_dir / IMPORTANCE_FILE, run.source.config
        distribution.chief_first(run.strategy, lambda chief: chief and self._write_scores(path))
        without = config.replace(extra={k: v for k, v in config.extra.items() if k != RECORD})
        _, arrays = rewiring.rewire(without, run.model.arrays(), importance.read(path, config))
        assign_arrays(run.model.model_weights, arrays, "the rewired model")

    def _write_scores(self, path):
        """Computes the scores of heads and neurons."""
        run, options = self._run, self._options
        stores = [run.store] if options.importance_split == "train" else list(run.dev.values())
        encoder = run.model.encoder
        start, encoder.gradient_start = encoder.gradient_start, None  # what is frozen counts, too
        found = [
            importance.importance(
                run.model,
                store,
                examples=options.importance_examples or None,
                seed=options.seed,
                strategy=run.strategy,
            )
            for store in stores
        ]
        encoder.gradient_start = start
        importance.write(path, functools.reduce(importance.added, found))

    def _save(self, part, folder):
        run = self._run
        run.save_model(folder, *export(run.source.config, run.model.arrays(), part))


def _distinct(subnetworks):
    """Those of different layers or units; two multipliers may come to the same heads."""
    found = {}
    for part in subnetworks:
        first = found.setdefault((part.layers, part.units), part)
        if first is not part:
            logging.warning(
                "%s is the same sub-network as %s: it counts once", part.name, first.name
            )
    return list(found.values())


def _is_drawn(index, fixed, count, random, run, step):
    """Whether sub-network `index` is among the `random` that are drawn for the step."""
    seed = tf.stack([tf.cast(step, tf.int32), run.options.seed ^ _SAMPLING])
    # Integers: numbers in [0, 1) would be others under XLA.
    draws = tf.random.stateless_uniform([count], seed, None, None, dtype=tf.uint32, alg="philox")
    others = tf.constant([i not in fixed for i in range(count)])
    draws = tf.where(others, draws, tf.constant(2**32 - 1, tf.uint32))  # what always runs is last
    return tf.reduce_sum(tf.cast(draws < draws[index], tf.int32)) < random
