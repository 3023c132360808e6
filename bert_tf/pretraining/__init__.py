"""Masked-language-model pre-training inside a budget: what run_pretraining.py runs."""

from bert_tf.lazy import importer

__getattr__ = importer(
    __name__,
    {
        "MaskedLanguageModel": "model",
        "PretrainingOptions": "options",
        "run": "program",
    },
)
