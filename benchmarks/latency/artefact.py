"""One model of benchmarks.latency on another runtime than TensorFlow: exported first, then run."""

import importlib
import pathlib
import tempfile
import types

import numpy as np

from benchmarks.latency import worker

RUNTIMES = {
    "tensorflow": None,
    "savedmodel": "savedmodel",
    "onnxruntime": "onnx_model",
    "openvino": "openvino_model",
    "litert": "litert",
}
"""Names of runtimes, and the modules of `bert_tf.export` that write for them and run them."""
_INT8 = "-int8"


def check_runtime(name):
    """Raises `UserError` unless `name` is a runtime, or one that takes int8 with its suffix."""
    from bert_tf.errors import UserError

    base = name.removesuffix(_INT8)
    if base not in RUNTIMES or (base != name and base in ("tensorflow", "savedmodel")):
        raise UserError(
            f"--runtime: expected a list out of {', '.join(RUNTIMES)}, and {_INT8} behind the last"
            f" three for int8 kernels and word table, found {name!r}"
        )


class Artefact(worker.Timed):
    """A model folder exported for a runtime.

    Attributes:
      description: dict of `worker.describe`; `bytes` are those of the artefact.
      memory_before: peak memory of the process in bytes before the runtime read it.
    """

    def __init__(self, setup, folder, runtime):
        from bert_tf.checkpoints.model_folder import load_model
        from bert_tf.export import source

        super().__init__()
        int8 = runtime.endswith(_INT8)
        module = RUNTIMES[runtime.removesuffix(_INT8)]
        module = importlib.import_module(f"bert_tf.export.{module}")
        model = source.of(load_model(folder))
        options = types.SimpleNamespace(
            format=runtime,
            precision="int8" if int8 else "float32",
            embedding_precision="int8" if int8 else "float32",
            keep=(),
            opset=20,
            lengths=(),
            calibration=(),
        )
        with tempfile.TemporaryDirectory() as written:
            path = pathlib.Path(written)
            module.write(model, path, options)
            size = sum(x.stat().st_size for x in path.rglob("*") if x.is_file())
            self.memory_before = worker.peak_memory()
            run = module.runner(path, setup.threads or None)
            self.description = {
                **worker.describe(model.model, folder, setup.cases),
                "bytes": size,
                "outputs": model.main_output,
            }
            for case in setup.cases:
                inputs = worker.random_inputs(model.config, *case, setup.seed)
                values = zip(source.INPUTS, inputs.values(), strict=True)
                inputs = {name: value.astype(np.int64) for name, value in values}
                self.prepare(case, lambda run=run, inputs=inputs: run(inputs)[model.main_output])
