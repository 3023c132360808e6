"""The models of Hugging Face's that are BERT encoders: how each one's files name what it is."""

import dataclasses
import re

from bert_tf.checkpoints import refusals
from bert_tf.errors import UserError

# Their key for a key of `BertConfig`, where it is another.
_SHARED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
)
_DISTILBERT_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "max_position_embeddings": "max_position_embeddings",
    "initializer_range": "initializer_range",
}
_SPANS = {
    "cls/squad/output_weights": "qa_outputs.weight",
    "cls/squad/output_bias": "qa_outputs.bias",
}
_CLASSIFIER = {"output_weights": "classifier.weight", "output_bias": "classifier.bias"}
_TRANSFORM = "cls/predictions/transform"


@dataclasses.dataclass(frozen=True)
class Family:
    """One of Hugging Face's model types.

    Attributes:
      model_type: of config.json.
      title: its name, which its classes begin with.
      keys: {key of `BertConfig`: key of config.json}.
      defaults: {key of `BertConfig`: value} where config.json says nothing and ours is another.
      fixed: {key of `BertConfig`: value} that every model of the family has.
      heads: {Google name: (their name, whether it is transposed)} of what lies outside the encoder.
      token_head: as `heads`, where the classifier is one of tokens.
      renamed: ((part of BERT's tensor name, theirs), ...), in this order.
      decoder: their name of the masked-LM decoder's weight.
      masked_lm: what the names of the masked-LM head begin with.
      same_tensors: {their name: the name of the tensor that it is a copy of}.
      heads_act: what activates the masked-LM head, None for hidden_act.
      others: {beginning of a name: what it is} of parts that are left out.
    """

    model_type: str
    title: str
    keys: dict
    defaults: dict
    fixed: dict
    heads: dict
    decoder: str
    masked_lm: tuple
    token_head: dict = dataclasses.field(default_factory=dict)
    renamed: tuple = ()
    same_tensors: dict = dataclasses.field(default_factory=dict)
    heads_act: str | None = None
    others: dict = dataclasses.field(default_factory=dict)

    @property
    def pooler_act(self):
        """Activation of the layer before the classifier."""
        return self.fixed.get("pooler_act", "tanh")

    def class_name(self, suffix):
        """Returns the name of the class for a head, such as `ForSequenceClassification`."""
        return f"{self.title}{suffix}"

    def their_name(self, google, of_tokens=False):
        """Returns (their name or None, whether the array is transposed) of a Google name.

        Args:
          google: the name.
          of_tokens: whether output_weights classifies tokens.
        """
        if of_tokens and google in self.token_head:
            return self.token_head[google]
        if google in self.heads:
            return self.heads[google]
        if not google.startswith("bert/") or google.startswith("bert/pooler/"):
            return None, False
        name, transposed = _berts_name(google)
        for part, theirs in self.renamed:
            name = name.replace(part, theirs)
        return f"{self.model_type}.{name.removeprefix('bert.')}", transposed


def _berts_name(google):
    """The name of an encoder's tensor in Hugging Face's BERT."""
    scope, leaf = google.replace("/layer_", "/layer/").rsplit("/", 1)
    scope = scope.replace("/", ".")
    if leaf.endswith("_embeddings"):
        return f"{scope}.{leaf}.weight", False
    if leaf in ("gamma", "beta"):
        return f"{scope}.{'weight' if leaf == 'gamma' else 'bias'}", False
    return f"{scope}.{'weight' if leaf == 'kernel' else leaf}", leaf == "kernel"


def _dense(google, theirs):
    return {
        f"{google}/kernel": (f"{theirs}.weight", True),
        f"{google}/bias": (f"{theirs}.bias", False),
    }


def _norm(google, theirs):
    return {
        f"{google}/gamma": (f"{theirs}.weight", False),
        f"{google}/beta": (f"{theirs}.bias", False),
    }


def _plain(pairs):
    return {google: (theirs, False) for google, theirs in pairs.items()}


BERT = Family(
    model_type="bert",
    title="Bert",
    keys={key: key for key in _SHARED},
    defaults={"vocab_size": 30522, "type_vocab_size": 2},
    fixed={},
    heads={
        **_plain({**_SPANS, **_CLASSIFIER}),
        **_dense("bert/pooler/dense", "bert.pooler.dense"),
        **_dense(f"{_TRANSFORM}/dense", "cls.predictions.transform.dense"),
        **_norm(f"{_TRANSFORM}/LayerNorm", "cls.predictions.transform.LayerNorm"),
        **_plain(
            {
                "cls/predictions/output_bias": "cls.predictions.bias",
                "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",
                "cls/seq_relationship/output_bias": "cls.seq_relationship.bias",
            }
        ),
    },
    decoder="cls.predictions.decoder.weight",
    masked_lm=("cls.predictions.",),
    same_tensors={"cls.predictions.decoder.bias": "cls.predictions.bias"},
)
DISTILBERT = Family(
    model_type="distilbert",
    title="DistilBert",
    keys=_DISTILBERT_KEYS,
    defaults={"vocab_size": 30522, "num_hidden_layers": 6},
    fixed={"type_vocab_size": 0, "pooler_act": "relu", "layer_norm_eps": 1e-12},
    heads={
        **_plain({**_SPANS, **_CLASSIFIER, "cls/predictions/output_bias": "vocab_projector.bias"}),
        **_dense("bert/pooler/dense", "pre_classifier"),
        **_dense(f"{_TRANSFORM}/dense", "vocab_transform"),
        **_norm(f"{_TRANSFORM}/LayerNorm", "vocab_layer_norm"),
    },
    renamed=(
        (".encoder.layer.", ".transformer.layer."),
        ("attention.self.query", "attention.q_lin"),
        ("attention.self.key", "attention.k_lin"),
        ("attention.self.value", "attention.v_lin"),
        ("attention.output.dense", "attention.out_lin"),
        ("attention.output.LayerNorm", "sa_layer_norm"),
        ("intermediate.dense", "ffn.lin1"),
        ("output.dense", "ffn.lin2"),
        ("output.LayerNorm", "output_layer_norm"),
    ),
    decoder="vocab_projector.weight",
    masked_lm=("vocab_transform.", "vocab_layer_norm.", "vocab_projector."),
)
ELECTRA = Family(
    model_type="electra",
    title="Electra",
    keys={**{key: key for key in _SHARED}, "embedding_size": "embedding_size"},
    defaults={
        "vocab_size": 30522,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "type_vocab_size": 2,
    },
    fixed={"pooler_act": "gelu_erf"},
    heads={
        **_plain(
            {
                **_SPANS,
                "output_weights": "classifier.out_proj.weight",
                "output_bias": "classifier.out_proj.bias",
                "cls/predictions/output_bias": "generator_lm_head.bias",
            }
        ),
        **_dense("bert/pooler/dense", "classifier.dense"),
        **_dense(f"{_TRANSFORM}/dense", "generator_predictions.dense"),
        **_norm(f"{_TRANSFORM}/LayerNorm", "generator_predictions.LayerNorm"),
    },
    token_head=_plain(_CLASSIFIER),
    decoder="generator_lm_head.weight",
    masked_lm=("generator_predictions.", "generator_lm_head."),
    heads_act="gelu_erf",
    others={"discriminator_predictions.": "finds replaced tokens, which no program here trains"},
)
FAMILIES = {family.model_type: family for family in (BERT, DISTILBERT, ELECTRA)}
_CLASS = re.compile(r"(?:TF|Flax)?(\w+?)(Model|For[A-Z]\w*)")


def of_config(theirs, path):
    """Returns the `Family` of the dict of config.json.

    Raises:
      UserError: it is of another family, with the reason why it is none of ours.
    """
    model_type = theirs.get("model_type")
    if model_type is None:  # the files of 2019 name their class, if anything
        named = theirs.get("architectures")
        found = _CLASS.fullmatch(str(named[0])) if isinstance(named, list) and named else None
        model_type = found[1].lower() if found else BERT.model_type
    if isinstance(model_type, str) and model_type in FAMILIES:
        return FAMILIES[model_type]
    raise refusals.of_model_type(path, model_type, FAMILIES)


def of_model(config, arrays):
    """Returns the `Family` as which Hugging Face has a model of ours.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}.

    Raises:
      UserError: none has these embeddings together with this pooler.
    """
    pooled = any(name.startswith("bert/pooler/") for name in arrays)
    fitting = [family for family in FAMILIES.values() if _fits(family, config)]
    own = [family for family in fitting if family.pooler_act == config.pooler_act]
    for family in own or ([] if pooled else fitting):
        return family
    raise UserError(
        f"a Hugging Face folder cannot hold this model: its pooler's activation is"
        f" {config.pooler_act} and its embeddings are {config.embedding_width} wide of"
        f" {config.hidden_size}, with {config.type_vocab_size} token types: BERT has tanh and no"
        " narrower embeddings, DistilBERT relu and neither them nor token types, ELECTRA gelu_erf"
    )


def _fits(family, config):
    """Whether the encoder is of the family; a table of token types may be added to it."""
    if config.projects_embeddings and family is not ELECTRA:
        return False
    fixed = {key: value for key, value in family.fixed.items() if key != "pooler_act"}
    return all(getattr(config, key) == value for key, value in fixed.items())


def suffix_of(class_name):
    """Returns the part of a class's name that says which head it has: `ForMaskedLM`, or `Model`."""
    found = _CLASS.fullmatch(class_name)
    return found[2] if found else class_name
