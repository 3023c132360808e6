"""Files of named sub-networks: {name: {"layers": [...], "heads": [...], "neurons": [...]}}."""

from bert_tf import files
from bert_tf.encoder import Subnetwork
from bert_tf.errors import UserError

_KEYS = ("layers", "heads", "neurons")
_REPORT = "subnetworks"  # the key of a report of choose_subnetwork.py under which they stand


def described(subnetwork):
    """Returns the JSON object of a `Subnetwork`, without its name."""
    heads, neurons = (list(units) for units in zip(*subnetwork.units, strict=True))
    return {"layers": list(subnetwork.layers), "heads": heads, "neurons": neurons}


def read(path, config):
    """Returns [`Subnetwork`] of a file, in its order; other keys of theirs are not looked at.

    Args:
      path: the file, or a report of choose_subnetwork.py.
      config: `BertConfig` of the model that they are parts of.

    Raises:
      UserError: the file is missing or damaged, or the model has no such sub-network; the message
        names the file and the sub-network.
    """
    values = files.read_json(path, "file of sub-networks")
    values = values.get(_REPORT, values)
    if not isinstance(values, dict) or not values:
        raise UserError(f"{path}: names no sub-network, expected {{name: {{layers, heads, ...}}}}")
    try:
        return [_subnetwork(name, value, config) for name, value in values.items()]
    except UserError as e:
        raise UserError(f"{path}: {e}") from e


def one(path, name, config):
    """Returns the `Subnetwork` of that name, see `read`.

    Raises:
      UserError: the file has none of that name; the message says which it has.
    """
    found = {part.name: part for part in read(path, config)}
    if name not in found:
        raise UserError(f"{path}: has no sub-network {name!r}, but {', '.join(found)}")
    return found[name]


def _subnetwork(name, value, config):
    lists = [value.get(key) for key in _KEYS] if isinstance(value, dict) else [None]
    if not all(isinstance(x, list) and x and all(type(i) is int for i in x) for x in lists):
        raise UserError(
            f"{name}: expected lists of whole numbers, {', '.join(_KEYS)}, found {str(value)[:80]}"
        )
    layers, heads, neurons = lists
    if len(heads) != len(layers) or len(neurons) != len(layers):
        raise UserError(
            f"{name}: {len(layers)} layers, {len(heads)} heads and {len(neurons)} neurons:"
            " expected one number for each layer"
        )
    part = Subnetwork(tuple(layers), tuple(zip(heads, neurons, strict=True)), name)
    part.check(config)
    return part
