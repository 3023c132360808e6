"""What an elastic model was trained to, as its configuration says."""

from bert_tf.dynabert.export import RECORD
from bert_tf.dynabert.rewiring import is_rewired
from bert_tf.encoder.subnetwork import DEPTH_RULES
from bert_tf.errors import UserError


def recorded(config):
    """Returns {`widths`, `depths`, `depth_rule`, ...}, empty for a model of no such training.

    Args:
      config: `BertConfig`.

    Raises:
      UserError: the configuration is damaged there.
    """
    is_rewired(config)  # refuses what is no JSON object
    record = config.extra.get(RECORD, {})
    for key in ("widths", "depths"):
        values = record.get(key, [1.0])
        if not isinstance(values, list) or not values or not all(map(_is_share, values)):
            raise UserError(
                f"{RECORD}.{key} of the configuration must be a list of numbers in (0, 1], found"
                f" {values!r}"
            )
    rule = record.get("depth_rule", DEPTH_RULES[0])
    if rule not in DEPTH_RULES:
        raise UserError(
            f"{RECORD}.depth_rule of the configuration must be one of {', '.join(DEPTH_RULES)},"
            f" found {rule!r}"
        )
    return record


def depth_rule(config, given=None):
    """Returns the rule of the flag, if it is given, else that which the model was trained by."""
    return given or recorded(config).get("depth_rule", DEPTH_RULES[0])


def warnings(model, widths=(), depths=()):
    """Returns a list of sentences, each on sub-networks that the model was not trained to.

    Args:
      model: `LoadedModel`.
      widths, depths: multipliers that are asked for.

    Raises:
      UserError: see `recorded`.
    """
    record = recorded(model.config)
    if not record:
        return [
            f"{model.source} was never trained to sub-networks (its configuration has no {RECORD}):"
            " its first heads and neurons matter no more than others, so less of them costs much:"
            " train it with run_classifier.py --training_phase=dynabertw, or fine-tune what is cut"
            " out"
        ]
    pairs = (("width", widths), ("depth", depths))
    return [
        f"{model.source} was not trained to {name} {value:g}, but to {_listed(trained)}"
        for name, values in pairs
        for value in values
        if value not in (trained := record.get(f"{name}s", [1.0]))
    ]


def _is_share(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


def _listed(values):
    return ", ".join(f"{value:g}" for value in values)
