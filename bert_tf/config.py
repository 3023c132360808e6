"""The shape of a BERT model: Google's bert_config.json, strictly read."""

import dataclasses
import difflib
import math

from bert_tf import files
from bert_tf.errors import UserError

# Google's names; `gelu` is its tanh form, `gelu_erf` the exact one that Hugging Face calls gelu.
ACTIVATIONS = ("gelu", "gelu_erf", "relu", "tanh", "linear")
NORM_POSITIONS = ("post", "pre")
DROPOUT_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")

_LEAST = {
    "vocab_size": 1,
    "hidden_size": 1,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 1,
    "max_position_embeddings": 1,
    "type_vocab_size": 0,
    "embedding_size": 1,
    "attention_head_size": 1,
}
_OPTIONAL = ("embedding_size", "attention_head_size")  # of those, what may be None
_SWITCHES = ("use_bias", "gated_ffn")
_BY_LAYER = ("layer_heads", "layer_neurons")
# What a plain BERT has: its bert_config.json says nothing of them.
_LEFT_OUT = {
    "attention_head_size": None,
    "embedding_size": None,
    "pooler_act": "tanh",
    **{key: [] for key in _BY_LAYER},
    "pruned_layers_dim": {},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Hyper-parameters of one encoder, with Google BERT's names and defaults.

    Attributes:
      vocab_size: rows of the word embedding table; must equal the lines of vocab.txt.
      hidden_size: width of the residual stream; a multiple of num_attention_heads.
      num_hidden_layers: encoder layers.
      num_attention_heads: attention heads per layer.
      intermediate_size: width of the feed-forward layer.
      hidden_act: `gelu` (Google's tanh form), `gelu_erf` (exact; what Hugging Face calls gelu),
        `relu`, `tanh` or `linear`.
      hidden_dropout_prob: dropout after embeddings and dense layers, in [0, 1).
      attention_probs_dropout_prob: dropout on attention probabilities, in [0, 1).
      max_position_embeddings: rows of the position table, the longest sequence.
      type_vocab_size: rows of the token type table (16 in Google's code, 2 in released models); 0
        for a model without one, which tells the texts of a pair by [SEP] alone (DistilBERT).
      initializer_range: standard deviation of the truncated normal initialisation, above 0.
      layer_norm_eps: epsilon of every LayerNorm, above 0.
      norm_position: `post` (BERT) or `pre` (academic-budget BERT: pre-LN and a final LayerNorm).
      use_bias: whether the layers' dense kernels have biases; pooler and heads always do (False is
        Cramming's way: Geiping, Goldstein, 2022).
      gated_ffn: whether a second kernel, `intermediate/gate`, scales the activations of the
        feed-forward layer: W_out(act(W x) * (W_gate x)) (GLU variants: Shazeer, 2020).
      embedding_size: width of the embedding tables and their LayerNorm; hidden_size if None. Others
        are projected to hidden_size (ELECTRA: Clark et al., 2020).
      pooler_act: activation of the pooler, named as `hidden_act` is: `tanh` in BERT. The layer that
        Hugging Face's classifiers have there has `relu` in DistilBERT, `gelu_erf` in ELECTRA.
      attention_head_size: width of one head; hidden_size / num_attention_heads if None. A
        sub-network has fewer heads than fill its hidden_size.
      layer_heads, layer_neurons: heads and width of the feed-forward layer of each layer, where
        they differ from layer to layer; empty where all are num_attention_heads and
        intermediate_size.
      pruned_layers_dim: {kernel name: rank} of the factorised kernels, empty for a dense model
        (key of the FLOP pruning port: `bert/encoder/layer_0/attention/self/query_p/kernel`).
      extra: keys of the JSON file that are not ours, kept and written back.

    Raises:
      UserError: a value of the wrong type or outside its range, naming the key.

    Example:
      >>> config = BertConfig(vocab_size=30522, hidden_size=384, num_attention_heads=12)
      >>> BertConfig.from_dict(config.to_dict()) == config
      True
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 16
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    norm_position: str = "post"
    use_bias: bool = True
    gated_ffn: bool = False
    embedding_size: int | None = None
    pooler_act: str = "tanh"
    attention_head_size: int | None = None
    layer_heads: list = dataclasses.field(default_factory=list)
    layer_neurons: list = dataclasses.field(default_factory=list)
    pruned_layers_dim: dict = dataclasses.field(default_factory=dict)
    extra: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for key, least in _LEAST.items():
            _check_count(key, getattr(self, key), least)
        for key in _SWITCHES:
            if not isinstance(getattr(self, key), bool):
                raise UserError(f"{key} must be true or false, found {getattr(self, key)!r}")
        for key in DROPOUT_RATES:
            value = getattr(self, key)
            if not _is_number(value) or not 0 <= value < 1:
                raise UserError(f"{key} must be a number in [0, 1), found {value!r}")
        for key in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, key)
            if not _is_number(value) or value <= 0:
                raise UserError(f"{key} must be a number above 0, found {value!r}")
        _check_choice("norm_position", self.norm_position, NORM_POSITIONS)
        act = self.hidden_act.lower() if isinstance(self.hidden_act, str) else self.hidden_act
        _check_choice("hidden_act", act or "linear", ACTIVATIONS)
        object.__setattr__(self, "hidden_act", act or "linear")
        _check_choice("pooler_act", self.pooler_act, ACTIVATIONS)
        if self.embedding_size == self.hidden_size:
            object.__setattr__(self, "embedding_size", None)
        _check_heads(self)
        for key in _BY_LAYER:
            _check_by_layer(key, getattr(self, key), self.num_hidden_layers)
        _check_ranks(self.pruned_layers_dim)

    @property
    def head_size(self):
        """Width of one attention head."""
        return self.attention_head_size or self.hidden_size // self.num_attention_heads

    @property
    def embedding_width(self):
        """Width of the embedding tables."""
        return self.embedding_size or self.hidden_size

    @property
    def projects_embeddings(self):
        """Whether a dense layer leads from the embeddings to the hidden states."""
        return self.embedding_width != self.hidden_size

    @property
    def reads_pairs(self):
        """Whether a pair of texts is told from one: not by a model that knows one token type."""
        return self.type_vocab_size != 1

    def units_of(self, layer):
        """Returns (heads, feed-forward neurons) of a layer."""
        return (
            self.layer_heads[layer] if self.layer_heads else self.num_attention_heads,
            self.layer_neurons[layer] if self.layer_neurons else self.intermediate_size,
        )

    def of_layer(self, layer):
        """Returns the configuration of one layer, whose heads and neurons are all layers'."""
        if not self.layer_heads and not self.layer_neurons:
            return self
        heads, neurons = self.units_of(layer)
        return self.replace(
            num_attention_heads=heads,
            intermediate_size=neurons,
            attention_head_size=self.head_size,
            layer_heads=[],
            layer_neurons=[],
        )

    @classmethod
    def from_dict(cls, values):
        """Builds a config from a JSON object, keeping unknown keys in `extra`.

        Raises:
          UserError: vocab_size is missing, a value is wrong, or an unknown key is so close to a
            known one that it must be a misspelling.
        """
        names = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        known = {k: v for k, v in values.items() if k in names}
        extra = {k: v for k, v in values.items() if k not in names}
        for key in extra:
            close = difflib.get_close_matches(key, names - set(known), 1, cutoff=0.9)
            if close:
                raise UserError(f"unknown key {key!r}: did you mean {close[0]!r}?")
        if "vocab_size" not in known:
            raise UserError("vocab_size is missing")
        return cls(**known, extra=extra)

    @classmethod
    def from_json_file(cls, path):
        """Reads bert_config.json; every error names the file.

        Raises:
          UserError: the file cannot be read, is not a JSON object, or `from_dict` refuses it.
        """
        values = files.read_json(path, "model configuration")
        try:
            return cls.from_dict(values)
        except UserError as e:
            raise UserError(f"{path}: {e}") from e

    def to_dict(self):
        """Returns the JSON object, `extra` merged in; what a plain model has not is left out."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        extra = values.pop("extra")
        for key, plain in _LEFT_OUT.items():
            if values[key] == plain:
                del values[key]
        return {**extra, **values}

    def save(self, path):
        """Writes bert_config.json atomically, keys sorted, indent 2."""
        files.write_json(path, self.to_dict())

    def replace(self, **changes):
        """Returns a copy with some values changed, validated again."""
        return dataclasses.replace(self, **changes)

    def with_dropout(self, hidden_dropout_prob=None, attention_probs_dropout_prob=None):
        """Returns a copy with those rates that are not None."""
        rates = {
            "hidden_dropout_prob": hidden_dropout_prob,
            "attention_probs_dropout_prob": attention_probs_dropout_prob,
        }
        return self.replace(**{name: rate for name, rate in rates.items() if rate is not None})


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    return (_is_int(value) or isinstance(value, float)) and math.isfinite(value)


def _check_count(key, value, least):
    if value is None and key in _OPTIONAL:
        return
    if not _is_int(value) or value < least:
        raise UserError(f"{key} must be an integer of {least} or more, found {value!r}")


def _check_choice(key, value, choices):
    if value not in choices:
        raise UserError(f"{key} must be one of {', '.join(choices)}, found {value!r}")


def _check_heads(config):
    hidden, heads, size = config.hidden_size, config.num_attention_heads, config.attention_head_size
    if size is None and hidden % heads:
        raise UserError(
            f"hidden_size {hidden} must be a multiple of num_attention_heads {heads}, where there"
            " is no attention_head_size"
        )


def _check_by_layer(key, values, layers):
    if not isinstance(values, list) or not all(_is_int(x) and x >= 1 for x in values):
        raise UserError(f"{key} must be a list of integers of 1 or more, found {values!r}")
    if values and len(values) != layers:
        raise UserError(f"{key} has {len(values)} entries, num_hidden_layers is {layers}")


def _check_ranks(ranks):
    if not isinstance(ranks, dict) or not all(
        isinstance(key, str) and _is_int(rank) and rank >= 0 for key, rank in ranks.items()
    ):
        raise UserError("pruned_layers_dim must map kernel names to ranks of 0 or more")
