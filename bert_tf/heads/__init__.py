"""Heads on the encoder, under Google's names; tf-models-official's heads fit as well."""

from bert_tf.heads.classifier import ClassifierHead, example_losses
from bert_tf.heads.pretraining import MaskedLMHead, NextSentenceHead

__all__ = ["ClassifierHead", "MaskedLMHead", "NextSentenceHead", "example_losses"]
