"""Layers by number: counted from the last as in Google's program, or from the embeddings (0)."""

from bert_tf.errors import UserError

_MOST = 4  # that are written where nothing else is asked for, as in Google's program


def check(text, name="layers"):
    """Raises `UserError` unless the value of a flag is a list of integers, none of them twice."""
    parse(text, name)


def parse(text, name="layers"):
    """Returns the list of integers in "-1,-2".

    Raises:
      UserError: it is none, or one is there twice.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as e:
        raise UserError(
            f"--{name}={text}: expected integers with commas between them, such as -1,-2"
        ) from e
    twice = next((x for x in numbers if numbers.count(x) > 1), None)
    if twice is not None:
        raise UserError(f"--{name}={text}: {twice} is there twice, expected different layers")
    return numbers


def default(num_layers):
    """Returns the last four layers [-1, -2, ...], the highest first, or as many as there are."""
    return [-1 - i for i in range(min(_MOST, num_layers))]


def depths(layers, num_layers):
    """Returns {layer as it was named: how many of the encoder's layers lie below its output}.

    Args:
      layers: list of int.
      num_layers: of the encoder.

    Raises:
      UserError: there is no such layer, or two names mean the same one.
    """
    found = {}
    for layer in layers:
        depth = layer if layer >= 0 else num_layers + 1 + layer
        if not (-num_layers <= layer <= num_layers):
            raise UserError(
                f"--layers: {layer} is none of the model's {num_layers} layers: expected"
                f" {-num_layers} (the first) to -1 (the last), or 0 (embeddings) to {num_layers}"
            )
        other = next((name for name, x in found.items() if x == depth), None)
        if other is not None:
            raise UserError(f"--layers: {other} and {layer} are the same layer: give one of them")
        found[layer] = depth
    return found
