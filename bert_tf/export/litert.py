"""LiteRT (TensorFlow Lite): one file of its own operators, for phones and small boards."""

import dataclasses
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from bert_tf.encoder import kernels
from bert_tf.errors import UserError
from bert_tf.export.computation import Computation
from bert_tf.export.savedmodel import save
from bert_tf.export.source import INPUTS
from bert_tf.packages import require

FILE = "model.tflite"
DYNAMIC = "serving_default"
"""The signature for any batch and length; those for fixed lengths are `length_32` and so on."""
_FIXED = "length_"
_TABLE = "bert/embeddings/word_embeddings"


def write(source, folder, options):
    """Writes `model.tflite`, whose signatures take `INPUTS`, int32 [batch, length].

    Args:
      source: `ExportSource`.
      folder: where to (`pathlib.Path`).
      options: `precision` (float32; float16, kernels stored so; int8, kernels of 1,024 numbers or
        more by column, the heads' too, and activations at run time), `embedding_precision`
        (float32, or int8, each row with a scale of its own), `lengths` (() for any batch and
        length; else one signature for one row of each of these lengths), `keep` (scopes of kernels
        that stay float32; such a kernel is copied at each run, so name few).

    Raises:
      UserError: ai-edge-litert is not installed, or there is no such file.
    """
    require("ai_edge_litert", "--format=litert")
    _check(source, options)
    module = tf.Module()
    computation = _LiteComputation(source, options)
    module.weights = computation.variables
    functions = {
        **({} if options.lengths else {DYNAMIC: _function(computation, None, None)}),
        **{f"{_FIXED}{n}": _function(computation, 1, n) for n in options.lengths},
    }
    with tempfile.TemporaryDirectory() as scratch:
        save(module, scratch, **functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, [*functions])
        if options.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if options.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        content = converter.convert()
    (pathlib.Path(folder) / FILE).write_bytes(content)


def runner(folder, threads=None):
    """Returns a callable that runs what `write` has written.

    Inputs of any shape are run as they are, or, where lengths are fixed, row by row, padded to the
    next of them.

    Args:
      folder: of `model.tflite`.
      threads: of one call; as many as LiteRT takes by itself if None.

    Returns:
      Callable ({input name: int64 [batch, length]}) -> {output name: float32 array}; with outputs
      of whole sequences cut to the length.

    Raises:
      UserError: ai-edge-litert is not installed; of the callable: inputs are longer than the
        longest fixed length.
    """
    require("ai_edge_litert", "--format=litert")
    from ai_edge_litert.interpreter import Interpreter

    path = pathlib.Path(folder) / FILE
    interpreter = Interpreter(os.fspath(path), num_threads=threads)
    names = interpreter.get_signature_list()
    if DYNAMIC in names:
        dynamic = interpreter.get_signature_runner(DYNAMIC)
        return lambda inputs: dynamic(**_int32(inputs))
    lengths = sorted(int(name.removeprefix(_FIXED)) for name in names)
    fixed = {n: interpreter.get_signature_runner(f"{_FIXED}{n}") for n in lengths}

    def run(inputs):
        rows, length = inputs[INPUTS[0]].shape
        padded = next((n for n in lengths if n >= length), None)
        if padded is None:
            raise UserError(
                f"{path}: an input of {length} tokens, expected {lengths[-1]} at most: export it"
                f" with --lengths={length} or more"
            )
        values = {k: np.pad(x, [(0, 0), (0, padded - length)]) for k, x in _int32(inputs).items()}
        found = [fixed[padded](**{k: x[i : i + 1] for k, x in values.items()}) for i in range(rows)]
        joined = {name: np.concatenate([row[name] for row in found]) for name in found[0]}
        return {name: x[:, :length] if x.ndim == 3 else x for name, x in joined.items()}

    return run


def _int32(inputs):
    return {name: np.asarray(x, np.int32) for name, x in inputs.items()}


def _check(source, options):
    int8_table = options.embedding_precision == "int8"
    if int8_table and options.precision != "int8" and source.kind == "masked_lm":
        raise UserError(
            "--embedding_precision=int8: litert multiplies by the word table of a masked language"
            f" model, too, which stays {options.precision}: add --precision=int8, or leave it out"
        )


def _function(computation, batch, length):
    ids = [tf.TensorSpec([batch, length], tf.int32, name) for name in INPUTS]

    def serve(input_ids, attention_mask, token_type_ids):
        return computation(input_ids, attention_mask, token_type_ids)

    return tf.function(serve, input_signature=ids, autograph=False)


class _LiteComputation(Computation):
    """A `Computation` in operators that LiteRT has, and that its converter stores as asked for."""

    def __init__(self, source, options):
        super().__init__(_without_empty_pairs(source))
        self._encoder = _LiteEncoder(self._encoder, options)
        if source.kind == "masked_lm":
            self._head.activation = _activation(source.config.hidden_act, self._head.activation)


class _LiteEncoder:
    """What `Computation` asks of a `BertEncoder`.

    Args:
      encoder: `BertEncoder`, with its weights; its layers are changed.
      options: see `write`.
    """

    def __init__(self, encoder, options):
        self._encoder = encoder
        self.pool = encoder.pool
        encoder.pooler_activation = _activation(
            encoder.config.pooler_act, encoder.pooler_activation
        )
        _keep(encoder, options.keep)  # its pooler
        for layer in encoder.encoder_layers:
            layer.activation = _activation(encoder.config.hidden_act, layer.activation)
            _keep(layer, options.keep)
        embeddings = encoder.embeddings
        exact = _float_rows if options.precision == "float32" else _kept_rows
        words = _int8_rows if options.embedding_precision == "int8" else exact
        self._words = words(embeddings.word_embeddings.numpy())
        table = embeddings.token_type_embeddings
        self._types = None if table is None else exact(table.numpy())

    def embed(self, ids, types):
        """Returns the embedding output, float32 [B, T, H]."""
        embeddings = self._encoder.embeddings
        positions = embeddings.position_embeddings[: tf.shape(ids)[1]]
        rows = self._words(ids) if self._types is None else self._words(ids) + self._types(types)
        hidden, projection = embeddings.norm(rows + positions), embeddings.projection
        return hidden if projection is None else projection(hidden)

    def transform(self, hidden, mask, training, first_token_only):
        """Returns what `BertEncoder.transform` does of the whole encoder."""
        layers = self._encoder.encoder_layers
        # LiteRT has no slice that adds axes to a shape that is not known.
        padding = tf.expand_dims(tf.expand_dims(1.0 - tf.cast(mask, tf.float32), 1), 1)
        bias = -10000.0 * padding
        for layer in layers:
            first = first_token_only and layer is layers[-1]
            hidden = layer(hidden, bias, training=training, first_token_only=first)
        norm = self._encoder.final_norm
        return (norm(hidden) if norm else hidden), None


def _activation(name, otherwise):
    """An activation of the configuration in the form that becomes LiteRT's own operator."""
    if name != "gelu_erf":
        return otherwise
    return lambda x: tf.nn.gelu(x, approximate=False)


def _keep(layer, scopes):
    """Keeps those kernels of a layer float32 whose scopes are named."""
    for name, dense in list(vars(layer).items()):
        if getattr(dense, "scope", None) in scopes:
            setattr(layer, name, _KeptDense(dense))


class _KeptDense:
    """A dense layer that the converter, which makes every constant kernel int8, leaves as it is.

    Its kernels are integers for the converter, and looked up by what it cannot know before a run.

    Args:
      dense: `Dense` or `FactorizedDense`, with its weights.
    """

    def __init__(self, dense):
        pair = hasattr(dense, "kernel_p")
        kernels = (dense.kernel_p, dense.kernel_q) if pair else (dense.kernel,)
        self._columns = [_kept_rows(np.ascontiguousarray(x.numpy().T)) for x in kernels]
        self._units = [x.shape[1] for x in kernels]
        self._bias = dense.bias

    def __call__(self, inputs, in_units=None, out_units=None):
        """As `Dense` on [rows, d_in], of whole layers only."""
        nothing = tf.cast(tf.minimum(tf.abs(inputs[0, 0]), 0.0), tf.int32)
        for columns, units in zip(self._columns, self._units, strict=True):
            kernel = columns(tf.range(units) + nothing)
            inputs = tf.matmul(inputs, kernel, transpose_b=True)
        return inputs if self._bias is None else tf.nn.bias_add(inputs, self._bias)


def _float_rows(table):
    """Function: ids -> rows of a table [rows, H]."""
    return lambda ids: tf.gather(tf.constant(table), ids)


def _kept_rows(table):
    """As `_float_rows`, of a table that its converter takes for integers, and leaves as it is."""
    bits = table.view(np.int32)
    return lambda ids: tf.bitcast(tf.gather(tf.constant(bits), ids), tf.float32)


def _int8_rows(table):
    """As `_float_rows`, of a table stored as int8, each row with a scale of its own."""
    scales = np.maximum(np.abs(table).max(1, keepdims=True), np.finfo(np.float32).tiny) / 127
    rows = np.rint(table / scales).astype(np.int8)

    def look_up(ids):
        scale = tf.gather(tf.constant(scales), ids)
        return tf.cast(tf.gather(tf.constant(rows), ids), tf.float32) * scale

    return look_up


def _without_empty_pairs(source):
    """The same model with rank 1, of zeros, for rank 0: LiteRT has no empty arrays."""
    config, arrays = source.config, dict(source.arrays)
    ranks = dict(config.pruned_layers_dim)
    for scope, rank in kernels.factorized_ranks(config, arrays).items():
        if rank:
            continue
        first, last = f"{scope}_p/kernel", f"{scope}_q/kernel"
        arrays[first] = np.zeros([len(arrays[first]), 1], np.float32)
        arrays[last] = np.zeros([1, arrays[last].shape[1]], np.float32)
        if first in ranks:
            ranks[first] = 1
    config = config.replace(pruned_layers_dim=ranks)
    return dataclasses.replace(
        source, model=dataclasses.replace(source.model, config=config, arrays=arrays)
    )
