"""A sub-network cut out of a model: a physically smaller model of its own."""

from bert_tf.checkpoints import names

CUT, RECORD = "subnetwork", "dynabert"
"""Key of bert_config.json under which an elastic model says what it was trained to."""

_LAYER = "bert/encoder/layer_"
# Whose columns are heads or neurons, and whose rows.
_COLUMNS = {
    "attention/self/query": "attention",
    "attention/self/key": "attention",
    "attention/self/value": "attention",
    "intermediate/dense": "neurons",
    "intermediate/gate": "neurons",
}
_ROWS = {"attention/output/dense": "attention", "output/dense": "neurons"}


def export(config, arrays, subnetwork):
    """Returns (config, arrays) of a model that computes what the sub-network does, and no more.

    Kernels may be dense, factorised or masked; embeddings, LayerNorms, pooler and heads stay.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}.
      subnetwork: `Subnetwork` of it.

    Raises:
      UserError: the model has no such sub-network.
    """
    subnetwork.check(config)
    cut = {name: array for name, array in arrays.items() if not name.startswith(_LAYER)}
    ranks = {}
    parts = zip(subnetwork.layers, subnetwork.units, strict=True)
    for place, (layer, (heads, neurons)) in enumerate(parts):
        kept = {"attention": heads * config.head_size, "neurons": neurons}
        old, new = f"{_LAYER}{layer}/", f"{_LAYER}{place}/"
        for name, array in arrays.items():
            if name.startswith(old):
                cut[new + name[len(old) :]] = _cut(name[len(old) :], array, kept)
        for name, rank in config.pruned_layers_dim.items():
            if name.startswith(old):
                ranks[new + name[len(old) :]] = rank
    return _config(config, subnetwork, ranks), cut


def _cut(name, array, kept):
    """The array of a layer with the first columns or rows that are kept of it."""
    scope, _, leaf = name.rpartition("/")
    side = scope[-2:] if scope.endswith(("_p", "_q", "_g")) else ""
    place = scope.removesuffix(side)
    if place in _COLUMNS and side in ("", "_q"):
        return array[..., : kept[_COLUMNS[place]]]
    if place in _ROWS and side in ("", "_p") and leaf == "kernel":
        return array[: kept[_ROWS[place]]]
    return array


def _config(config, subnetwork, ranks):
    heads, neurons = (list(x) for x in zip(*subnetwork.units, strict=True))
    square = max(heads) * config.head_size == config.hidden_size
    uniform_heads, uniform_neurons = len(set(heads)) == 1, len(set(neurons)) == 1
    return config.replace(
        num_hidden_layers=len(heads),
        num_attention_heads=max(heads),
        intermediate_size=max(neurons),
        attention_head_size=None if square else config.head_size,
        layer_heads=[] if uniform_heads else heads,
        layer_neurons=[] if uniform_neurons else neurons,
        pruned_layers_dim=ranks,
        extra=_extra(config, subnetwork),
    )


def _extra(config, subnetwork):
    """What else the configuration says: which layers are left, if some are gone."""
    extra = {key: value for key, value in config.extra.items() if key != RECORD}
    if len(subnetwork.layers) < config.num_hidden_layers:
        extra[CUT] = {"layers": list(subnetwork.layers), "of": config.num_hidden_layers}
    return extra


def parameters(config, subnetwork):
    """Returns how many numbers the dense kernels of the sub-network's layers have.

    Args:
      config: `BertConfig` of the whole model.
      subnetwork: `Subnetwork`.
    """
    part, _ = export(config.replace(pruned_layers_dim={}), {}, subnetwork)
    return sum(d_in * d_out for d_in, d_out in names.dense_scopes(part).values())
