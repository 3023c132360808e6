"""Heads on the encoder, under Google's names; tf-models-official's heads fit as well."""

from bert_tf.heads.classifier import ClassifierHead, example_losses, softened_losses
from bert_tf.heads.pretraining import MaskedLMHead, NextSentenceHead
from bert_tf.heads.spans import SpanHead, softened_span_losses, span_losses
from bert_tf.heads.token_classifier import TokenClassifierHead, token_losses

__all__ = [
    "ClassifierHead",
    "MaskedLMHead",
    "NextSentenceHead",
    "SpanHead",
    "TokenClassifierHead",
    "example_losses",
    "softened_losses",
    "softened_span_losses",
    "span_losses",
    "token_losses",
]
