"""Choosing a sub-network: the grid, what a search mixes for a limit, and the best of them."""

import dataclasses
import functools

from absl import logging

from bert_tf import files
from bert_tf.classification import subnetworks
from bert_tf.dynabert import named, record
from bert_tf.dynabert.costs import size_of
from bert_tf.dynabert.latency import LayerTimes
from bert_tf.dynabert.mixing import Target, mix
from bert_tf.dynabert.options import parse_multipliers
from bert_tf.dynabert.report import Report, Row
from bert_tf.dynabert.sample_loss import SampleLoss
from bert_tf.dynabert.search import Objective, Space
from bert_tf.errors import UserError
from bert_tf.options import command_line
from bert_tf.training import results, sources

REPORT, TABLE, PICTURE = "subnetworks.json", "subnetworks.csv", "subnetworks.png"
_ROUNDING = 1 + 1e-9  # of sums of costs


@dataclasses.dataclass(frozen=True)
class Choice:
    """What `choose` found: the `Report`, and the best `Row` within the limits or None."""

    report: Report
    best: Row | None


def choose(options, source):
    """Compares sub-networks as `options` say and writes the report to output_dir.

    Args:
      options: `choose_subnetwork.Options`.
      source: `LoadedModel` of an elastic classifier.

    Returns:
      A `Choice`.

    Raises:
      UserError: bad input, or limits of size that nothing meets; nothing is then measured.
    """
    known = _known(options, source)
    output = files.make_output_dir(options.output_dir)
    length = min(options.latency_length, source.config.max_position_embeddings)
    shape = (options.latency_batch_size, length)
    sizes = functools.partial(size_of, source.config, source.arrays, length=length)
    searches = options.search != "off"
    if not searches:
        options.limits.require({part.name: (sizes(part), None) for part, _ in known})
    elastic = subnetworks.Elastic.read(
        source, options.row_flags, output, train=searches, max_seq_length=options.max_seq_length
    )
    elastic.sample_dev(options.max_eval_examples, options.seed)
    searched = None
    if searches:
        search = _Search(options, elastic, [part for part, _ in known], shape, sizes)
        known += [(part, "mixed") for part in search.mixes()]
        searched = search.described()
    found = subnetworks.measured(
        elastic, known, options.eval_batch_size, shape, options.latency_rounds
    )
    best = found.best(options.limits)
    files.write_json(
        output / REPORT,
        {
            **_circumstances(options, elastic, shape),
            "search": searched,
            "chosen": best and best.part.name,
            "metric": found.metric,
            "subnetworks": found.to_json(),
        },
    )
    found.write_csv(output / TABLE)
    found.write_picture(output / PICTURE)
    return Choice(found, best)


def _known(options, source):
    """[(`Subnetwork`, kind)] of the grid, the whole model first, and of the flag's file."""
    config, trained = source.config, record.recorded(source.config)
    widths = _multipliers("width", options, trained, subnetworks.WIDTHS)
    depths = _multipliers("depth", options, trained, subnetworks.DEPTHS)
    for sentence in record.warnings(source, widths, depths):
        logging.warning("%s", sentence)
    rule = record.depth_rule(config, options.depth_rule)
    cells = subnetworks.grid(config, widths, depths, rule)
    others = named.read(options.subnetworks, config) if options.subnetworks else []
    others = [part for part in others if part not in cells]  # such as those of an earlier report
    _refuse_twins([part.name for part in (*cells, *others)])
    return [*((part, "grid") for part in cells), *((part, "named") for part in others)]


def _multipliers(name, options, trained, default):
    """The flag's multipliers, else those that the model was trained to, descending."""
    given = getattr(options, f"{name}_mult_list")
    if given:
        return parse_multipliers(given, f"{name}_mult_list")
    return sorted(trained.get(f"{name}s", default), reverse=True)


def _refuse_twins(names):
    twins = [name for name in names if names.count(name) > 1]
    if twins:
        raise UserError(
            f"two sub-networks have the name {twins[0]}: give that of --subnetworks another one"
        )


class _Search:
    """A search of mixed widths on training rows.

    Args:
      options: `choose_subnetwork.Options`.
      elastic: `subnetworks.Elastic`.
      known: list of `Subnetwork` to beat, the whole model first.
      shape: (batch, length) at which latency counts.
      sizes: callable (`Subnetwork`) -> `Size`.
    """

    def __init__(self, options, elastic, known, shape, sizes):
        self._options = options
        self._elastic = elastic
        self._known = known
        self._sizes = sizes
        config = elastic.source.config
        self._space = Space(config, tuple(dict.fromkeys(part.layers for part in known)))
        narrowest = {
            f"the narrowest of layers {list(layers)}": (sizes(self._space.narrowest(layers)), None)
            for layers in self._space.depths
        }
        options.limits.require(narrowest)  # before all paths are walked in vain
        self._costs = {
            "parameters": lambda part: sizes(part).parameters,
            "flops": lambda part: sizes(part).flops,
        }
        if options.needs_layer_times:
            whole = elastic.small(known[0], shape)
            times = LayerTimes(
                config, elastic.source.arrays, self._space.depths, whole, shape,
                options.latency_rounds,
            )  # fmt: skip
            self._costs["latency"] = times.seconds
        self._rows = subnetworks.sample(elastic.train, options.search_examples, options.seed)
        self._targets = self._make_targets()
        self._evaluations = 0
        _refuse_twins([part.name for part in known] + [target.name for target in self._targets])

    def mixes(self):
        """Returns [`Subnetwork`], see `mixing.mix`."""
        options = self._options
        generations = options.search_generations if options.search == "evolution" else 0
        with SampleLoss(self._elastic.model, self._rows, options.eval_batch_size) as loss:
            objective = Objective(loss, self._costs[options.chosen_cost])
            found = mix(
                self._space, objective, self._targets, self._known, generations, options.seed
            )
        self._evaluations = objective.evaluations
        logging.info("%d mixes, %d evaluations in all", len(found), self._evaluations)
        return found

    def described(self):
        """Returns what the report says of the search."""
        return {
            "method": self._options.search,
            "cost": self._options.chosen_cost,
            "targets": [target.name for target in self._targets],
            "evaluations": self._evaluations,
            "rows": len(self._rows),
            "rows_digest": self._rows.fingerprint,
            "seed": self._options.seed,
        }

    def _make_targets(self):
        """[`Target`]: the limits, or each cost that a sub-network of the grid has."""
        options = self._options
        if options.chosen_search_at == "limit":
            return [Target(f"mix_{options.limits.name}", self._is_within)]
        cost, found = self._costs[options.chosen_cost], {}
        for part in self._known[1:]:
            most = _ROUNDING * cost(part)
            fits = functools.partial(_costs_at_most, cost, most)
            found.setdefault(f"{most:.6g}", Target(f"mix_{part.name}", fits))
        return list(found.values())

    def _is_within(self, part):
        """Whether a `Subnetwork` meets the limits, its latency by the additive model."""
        latency = 1e3 * self._costs["latency"](part) if "latency" in self._costs else None
        return self._options.limits.meets(self._sizes(part), latency)


def _costs_at_most(cost, most, part):
    return cost(part) <= most


def _circumstances(options, elastic, shape):
    """What the report says of model, rows and machine."""
    return {
        "task": elastic.task.name,
        "rows": {split: len(store) for split, store in elastic.dev.items()},
        "rows_digest": {split: store.fingerprint for split, store in elastic.dev.items()},
        "command": command_line("choose_subnetwork.py", options, vars(options), options.given),
        "options": options.row_flags,
        "model": elastic.source.path,
        "model_digest": sources.digest(elastic.source.arrays),
        "environment": results.environment("float32"),
        "latency": {
            "batch_size": shape[0], "length": shape[1], "rounds": options.latency_rounds,
        },
        "limits": dataclasses.asdict(options.limits),
    }  # fmt: skip
