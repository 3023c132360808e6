"""Sub-networks of an encoder: which layers run, and how many heads and neurons of each.

Heads and neurons are prefix slices: the first ones of a kernel run (DynaBERT: Hou et al., 2020).
"""

import dataclasses
import math

from bert_tf.errors import UserError

DEPTH_RULES = ("keep_first", "keep_last")


def kept_heads(num_heads, width):
    """Heads that run at width multiplier `width` (DynaBERT: banker's rounding of heads * width).

    Raises:
      UserError: no head would be left, or width is not in (0, 1].
    """
    kept = round(num_heads * width) if 0 < width <= 1 else 0
    if not kept:
        raise UserError(
            f"width {width:g} keeps no head of {num_heads}: expected a number above 0 and at most"
            f" 1, {1 / num_heads:.3g} for one head"
        )
    return kept


def kept_units(num_heads, num_neurons, width):
    """Returns (heads, feed-forward neurons) at `width`: the neurons' share is that of the heads."""
    heads = kept_heads(num_heads, width)
    return heads, max(1, int(heads / num_heads * num_neurons))


def kept_layers(num_layers, depth, rule="keep_first"):
    """Returns the indices of the layers that run at depth multiplier `depth`, ascending.

    Args:
      num_layers: layers of the encoder.
      depth: share of them that runs, in (0, 1].
      rule: `keep_first`, DynaBERT's code: floor(i / depth), which always keeps layer 0 and drops
        the last; `keep_last`, its paper's: the layer before each of those is dropped, which always
        keeps the last.

    Raises:
      UserError: no layer would be left, or depth is not in (0, 1].
    """
    count = round(num_layers * depth) if 0 < depth <= 1 else 0
    if not count:
        raise UserError(
            f"depth {depth:g} keeps no layer of {num_layers}: expected a number above 0 and at"
            f" most 1, {1 / num_layers:.3g} for one layer"
        )
    kept = [math.floor(i / depth) for i in range(count)]
    if rule == "keep_first":
        return tuple(kept)
    dropped = {layer - 1 for layer in range(num_layers) if layer not in kept}
    return tuple(layer for layer in range(num_layers) if layer not in dropped)


@dataclasses.dataclass(frozen=True)
class Subnetwork:
    """A part of an encoder that is a model by itself.

    Attributes:
      layers: indices of the layers that run, ascending.
      units: (heads, feed-forward neurons) of each of them.
      name: short name for tables and files, such as `w0.5_d0.75`.

    Example:
      >>> part = Subnetwork.of(config, width=0.5, depth=0.5)
      >>> sequence, _ = encoder.transform(hidden, mask, **part.forward)
    """

    layers: tuple
    units: tuple
    name: str = ""

    @classmethod
    def of(cls, config, width=1.0, depth=1.0, rule="keep_first"):
        """Returns the sub-network of one width and depth.

        Args:
          config: `BertConfig`.
          width: share of the heads and neurons of each layer.
          depth, rule: see `kept_layers`.

        Raises:
          UserError: it would have no head, or no layer.
        """
        layers = kept_layers(config.num_hidden_layers, depth, rule)
        units = [kept_units(*config.units_of(layer), width) for layer in layers]
        return cls(layers, tuple(units), f"w{width:g}_d{depth:g}")

    @property
    def forward(self):
        """The arguments of `BertEncoder.transform`, and of a model's `forward`, that run it."""
        return {"layers": self.layers, "width": self.units}

    def check(self, config):
        """Raises `UserError` if an encoder of this `BertConfig` has not these layers or units."""
        if not self.layers or sorted(set(self.layers)) != list(self.layers):
            raise UserError(f"{self.name}: layers {list(self.layers)} must grow, one at least")
        if len(self.units) != len(self.layers):
            raise UserError(
                f"{self.name}: {len(self.units)} layers have units, {len(self.layers)} run"
            )
        if not 0 <= self.layers[0] <= self.layers[-1] < config.num_hidden_layers:
            raise UserError(
                f"{self.name}: layers {list(self.layers)} of a model of"
                f" {config.num_hidden_layers} layers"
            )
        for layer, units in zip(self.layers, self.units, strict=True):
            for what, found, most in zip(
                ("heads", "neurons"), units, config.units_of(layer), strict=True
            ):
                if not 1 <= found <= most:
                    raise UserError(
                        f"{self.name}: {found} {what} in layer {layer}, expected 1 to {most}"
                    )
