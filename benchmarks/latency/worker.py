"""One model of benchmarks.latency in a process of its own, running when it is told to."""

import dataclasses
import pathlib
import resource
import time

import numpy as np

_WARM_UP_CALLS = 4  # the graph is optimised in the first ones


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all models share.

    Attributes:
      cases: (batch, length) of each shape, a function of its own.
      precision: `float32`, `bfloat16` or `float16`, TensorFlow's alone.
      threads: of TensorFlow's two pools, or of another runtime; 0 leaves them to it.
      xla: whether XLA compiles the functions.
      seed: of the token ids.
    """

    cases: tuple[tuple[int, int], ...]
    precision: str
    threads: int
    xla: bool
    seed: int


def serve(connection, setup, folder, runtime):
    """Process entry: describes the model, then answers (case, seconds) until None.

    Ends quietly when the parent is gone; an exception is an answer, too.
    """
    try:
        model = _read(setup, folder, runtime)
        connection.send(model.description)
        while (command := connection.recv()) is not None:
            connection.send(model.run(*command))
        before = model.memory_before
        connection.send(None if before is None else peak_memory() - before)
    except (EOFError, BrokenPipeError):
        return
    except Exception as e:
        connection.send(e)


def _read(setup, folder, runtime):
    if runtime == "tensorflow":
        return Model(setup, folder)
    from benchmarks.latency.artefact import Artefact

    return Artefact(setup, folder, runtime)


class Timed:
    """Functions of no argument, one for each case, called for a while when asked to.

    Attributes:
      calls: {case: function}, each returns the outputs.
    """

    def __init__(self):
        self.calls = {}

    def prepare(self, case, call):
        """Takes the function of `case`; it is warm afterwards.

        Raises:
          RuntimeError: its outputs are not finite.
        """
        self.calls[case] = call
        for _ in range(_WARM_UP_CALLS):
            outputs = call()
        if not np.isfinite(outputs).all():
            raise RuntimeError(f"the outputs of {case[0]} x {case[1]} are not finite")

    def run(self, case, seconds):
        """Calls the function of `case` for about `seconds`; returns the seconds of each call."""
        call, taken = self.calls[case], []
        end = time.perf_counter() + seconds
        while not taken or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        return taken


class Model(Timed):
    """A model folder and its traced function for each case.

    Attributes:
      description: dict of what needs no clock, see `describe`, and `outputs`, what they are.
      memory_before: peak memory of the process in bytes before the model was read.
    """

    def __init__(self, setup, folder):
        import tensorflow as tf

        from bert_tf.checkpoints.model_folder import load_model
        from bert_tf.pruning import comparison
        from bert_tf.training import allocator, distribution

        super().__init__()
        tf.config.threading.set_intra_op_parallelism_threads(setup.threads)
        tf.config.threading.set_inter_op_parallelism_threads(setup.threads)
        allocator.keep_freed_memory()
        distribution.set_precision(setup.precision)
        self.memory_before = peak_memory()
        loaded = load_model(folder)
        what, forward = comparison.inference_function(loaded.config, loaded.arrays)
        self.description = {**describe(loaded, folder, setup.cases), "outputs": what}
        for batch, length in setup.cases:
            inputs = random_inputs(loaded.config, batch, length, setup.seed)
            specs = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in inputs.items()}
            function = tf.function(forward, input_signature=[specs], jit_compile=setup.xla)
            function = function.get_concrete_function()
            # A concrete function takes its tensors flat, sorted by key.
            flat = [tf.constant(inputs[name]) for name in sorted(inputs)]
            self.prepare((batch, length), _bind(function, flat))


def _bind(function, inputs):
    return lambda: function(*inputs).numpy()


def random_inputs(config, batch, length, seed):
    """Returns the three int32 inputs [batch, length]: random tokens, no padding, one segment."""
    from bert_tf.errors import UserError
    from bert_tf.pruning.comparison import INPUTS

    if length > config.max_position_embeddings:
        raise UserError(
            f"--lengths: the model takes {config.max_position_embeddings} tokens at most,"
            f" found {length}"
        )
    ids = np.random.default_rng(seed).integers(config.vocab_size, size=[batch, length])
    values = ids, np.ones_like(ids), np.zeros_like(ids)
    return {name: value.astype(np.int32) for name, value in zip(INPUTS, values, strict=True)}


def describe(loaded, folder, cases):
    """Returns the sizes of a `LoadedModel`.

    Returns:
      dict: `bytes` of its checkpoint, `parameters` of all its arrays, `kernel_parameters` of its
      encoder layers' kernels without biases, `flops` {length: operations of the kernels' products
      per example, 2 per multiply-add}.
    """
    kernels = kernel_parameters(loaded)
    return {
        "bytes": checkpoint_bytes(folder),
        "parameters": sum(array.size for array in loaded.arrays.values()),
        "kernel_parameters": sum(kernels.values()),
        "flops": {
            length: kernel_flops(kernels, loaded.config.num_hidden_layers, length)
            for length in sorted({length for _, length in cases})
        },
    }


def kernel_parameters(loaded):
    """Returns {scope: parameters} of the encoder layers' kernels, of both factors if there are."""
    from bert_tf.checkpoints import names
    from bert_tf.encoder.kernels import factorized_ranks

    ranks = factorized_ranks(loaded.config, loaded.arrays)
    return {
        scope: ranks[scope] * (d_in + d_out) if scope in ranks else d_in * d_out
        for scope, (d_in, d_out) in names.dense_scopes(loaded.config).items()
    }


def kernel_flops(kernels, layers, length):
    """Operations of the kernels' products per example of `length` tokens.

    The last layer computes keys and values of all tokens, everything else of the first one only.
    """
    last = f"bert/encoder/layer_{layers - 1}/"
    total = 0
    for scope, parameters in kernels.items():
        first_only = scope.startswith(last) and not scope.endswith(("/key", "/value"))
        total += 2 * parameters * (1 if first_only else length)
    return total


def checkpoint_bytes(folder):
    """Size of the weight files of a model folder, of any kind that `load_model` reads."""
    from bert_tf.checkpoints import bundle
    from bert_tf.checkpoints.model_folder import is_huggingface

    path = pathlib.Path(folder)
    if path.is_dir() and is_huggingface(path):
        paths = [*path.glob("*.safetensors"), *path.glob("pytorch_model*.bin")]
    else:
        prefix = pathlib.Path(bundle.find_prefix(folder))
        paths = [
            *prefix.parent.glob(f"{prefix.name}.data-*"),
            prefix.with_name(f"{prefix.name}.index"),
        ]
    return sum(file.stat().st_size for file in paths)


def peak_memory():
    """Largest resident memory of this process so far, in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
