"""Options of a new model's shape, a part of run_pretraining.py's (no TensorFlow)."""

import dataclasses

from bert_tf.config import ACTIVATIONS, NORM_POSITIONS
from bert_tf.errors import UserError
from bert_tf.options import above, at_least, option, useless_with

GROUP = "Shape of a new model (where bert_config_file and model_dir give none)"

_NEW_SHAPE = (
    useless_with("--probe", lambda options: options.probe, ", which times --probe_shapes"),
    useless_with(
        "a model that has a shape",
        lambda o: bool(o.model_dir or o.bert_config_file or o.init_checkpoint),
    ),
)


@dataclasses.dataclass(kw_only=True)
class ShapeOptions:
    """The shape of a new model; what is not a flag is as in Google's base model."""

    hidden_size: int = option(
        768, "Width of the residual stream.", GROUP, valid=at_least(1), needs=_NEW_SHAPE
    )
    num_hidden_layers: int = option(
        12, "Encoder layers.", GROUP, valid=at_least(1), needs=_NEW_SHAPE
    )
    num_attention_heads: int | None = option(
        None, "Attention heads; hidden_size/64.", GROUP, valid=at_least(1), needs=_NEW_SHAPE
    )
    intermediate_size: int | None = option(
        None,
        "Width of the feed-forward layer; 4 x hidden_size, two thirds of it if gated.",
        GROUP,
        valid=at_least(1),
        needs=_NEW_SHAPE,
    )
    hidden_act: str = option(
        "gelu", "Activation; gelu is the tanh form.", GROUP, ACTIVATIONS, needs=_NEW_SHAPE
    )
    norm_position: str = option(
        "post",
        "LayerNorm after (BERT) or before each block.",
        GROUP,
        NORM_POSITIONS,
        needs=_NEW_SHAPE,
    )
    use_bias: bool = option(True, "Biases in the layers' dense kernels.", GROUP, needs=_NEW_SHAPE)
    gated_ffn: bool = option(
        False,
        "A gate on the feed-forward layer, as in GLU variants and Cramming.",
        GROUP,
        needs=_NEW_SHAPE,
    )
    max_position_embeddings: int = option(
        512, "The longest sequence.", GROUP, valid=at_least(1), needs=_NEW_SHAPE
    )
    initializer_range: float = option(
        0.02,
        "Standard deviation of a new model's weights.",
        GROUP,
        valid=above(0),
        needs=_NEW_SHAPE,
    )


def parse_shapes(text, flag="probe_shapes"):
    """Returns [(layers, hidden)] of text such as `4x256,12x768`.

    Raises:
      UserError: another form, or a hidden size that is no multiple of its heads; the message names
        `--flag`.
    """
    shapes = []
    for part in text.split(","):
        try:
            layers, hidden = (int(number) for number in part.lower().split("x"))
        except ValueError:
            layers = hidden = 0
        if layers < 1 or hidden < 1 or (hidden > 64 and hidden % 64):
            raise UserError(
                f"--{flag}={text}: {part!r}: expected LAYERSxHIDDEN such as 4x256, HIDDEN a"
                " multiple of 64"
            )
        shapes.append((layers, hidden))
    return shapes
