"""Models that look like BERT and compute something else: known by name, refused with the reason."""

import re

from bert_tf.errors import UserError

_ROBERTA = "its positions begin behind the padding's and its vocabulary is no WordPiece"
_DEBERTA = "its attention is over contents and relative positions apart (disentangled)"
_REASONS = {
    "roberta": ("RoBERTa", _ROBERTA),
    "xlmroberta": ("XLM-RoBERTa", _ROBERTA),
    "xlmrobertaxl": ("XLM-RoBERTa", _ROBERTA),
    "camembert": ("CamemBERT", _ROBERTA),
    "mpnet": ("MPNet", "its scores have a bias by relative position"),
    "modernbert": ("ModernBERT", "its positions are rotary and most of its attention is local"),
    "nomicbert": ("NomicBERT", "its positions are rotary"),
    "deberta": ("DeBERTa", _DEBERTA),
    "debertav2": ("DeBERTa", _DEBERTA),
    "albert": ("ALBERT", "all its layers share one set of weights"),
    "mobilebert": ("MobileBERT", "its layers are bottlenecks without LayerNorm"),
    "squeezebert": ("SqueezeBERT", "its kernels are grouped convolutions"),
    "convbert": ("ConvBERT", "part of its heads are convolutions"),
    "funnel": ("Funnel", "it shortens the sequence from block to block"),
    "xlnet": ("XLNet", "its attention is by permutations and relative positions"),
}
# What the names of their tensors hold, `.` between the parts; those of XLM-RoBERTa are RoBERTa's.
_TENSORS = {
    "albert": r"albert_layer_groups|embedding_hidden_mapping_in|transformer\.group_\d",
    "mpnet": r"relative_attention_bias|\bmpnet\.",
    "deberta": r"\bdeberta\.|rel_embeddings|attention\.self\.(in|pos|pos_q)_proj|query_proj",
    "modernbert": r"\.attn\.Wqkv\.|\bmodernbert\.",
    "roberta": r"\broberta\.|\blm_head\.(dense|layer_norm)\.",
    "mobilebert": r"embedding_transformation|\bmobilebert\.",
}


def of_model_type(path, model_type, families):
    """Returns the `UserError` for a config.json whose model_type is none of `families`."""
    name = re.sub("[-_]", "", str(model_type)).lower()
    title, reason = _REASONS.get(name, (None, None))
    why = f"this is {title}: {reason}: " if title else ""
    return UserError(
        f"{path}: model_type must be one of {', '.join(map(repr, families))}, found"
        f" {model_type!r}: {why}this program computes BERT, DistilBERT and ELECTRA encoders only:"
        " name the folder of one"
    )


def check_names(names, source):
    """Raises `UserError` if the names of variables or tensors are those of another model.

    Args:
      names: iterable of str, `/` or `.` between their parts.
      source: the file or folder, for errors.
    """
    for name in names:
        for kind, pattern in _TENSORS.items():
            if re.search(pattern, name.replace("/", ".")):
                title, reason = _REASONS[kind]
                raise UserError(
                    f"{source}: {name} is a weight of {title}: {reason}: this program computes"
                    " BERT, DistilBERT and ELECTRA encoders only: name another model"
                )
