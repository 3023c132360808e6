"""Hugging Face: a model folder of theirs, factor pairs multiplied back into dense kernels."""

import dataclasses

from bert_tf.checkpoints.convert import convert
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.encoder import kernels
from bert_tf.export import source as export_source
from flop import compaction


def write(source, folder, options):  # noqa: ARG001
    """Writes config.json, model.safetensors, tokenizer_config.json and vocab.txt.

    Args:
      source: `ExportSource`.
      folder: where to (`pathlib.Path`).
      options: there is nothing to choose.

    Raises:
      UserError: theirs has no such model: it is pre-LN, or has gated feed-forward layers.
    """
    config, arrays = merged(source.config, source.arrays)
    model = dataclasses.replace(source.model, config=config, arrays=arrays)
    convert(model, folder, "huggingface")


def merged(config, arrays):
    """Returns (config, arrays) of the same model whose kernels are all dense.

    Args:
      config: `BertConfig`.
      arrays: {Google name: float32 array} without gates.
    """
    arrays = dict(arrays)
    for scope in kernels.factorized_ranks(config, arrays):
        factors = (arrays.pop(f"{scope}_{x}/kernel") for x in "pq")
        arrays[f"{scope}/kernel"] = compaction.merge(*factors)
        if f"{scope}_q/bias" in arrays:
            arrays[f"{scope}/bias"] = arrays.pop(f"{scope}_q/bias")
    return config.replace(pruned_layers_dim={}), arrays


def runner(folder, threads=None):  # noqa: ARG001
    """Returns a callable that runs the folder as it is read back, in TensorFlow.

    Args:
      folder: of config.json.
      threads: without meaning, they are those of TensorFlow's process.

    Returns:
      Callable ({input name: int64 [batch, length]}) -> {output name: float32 array}.
    """
    from bert_tf.export.computation import model_runner

    return model_runner(export_source.of(load_model(folder)))
