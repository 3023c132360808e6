"""One model of benchmarks.latency on another runtime than TensorFlow: exported first, then run."""

import dataclasses
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


def check_settings(runtimes, precision, xla):
    """Raises `UserError` for settings of TensorFlow's that other runtimes would run without."""
    from bert_tf.errors import UserError

    others = [name for name in runtimes if name != "tensorflow"]
    given = f"--precision={precision}" if precision != "float32" else "--xla" if xla else None
    if others and given:
        raise UserError(
            f"{given}: is for --runtime=tensorflow, without effect on {', '.join(others)}: measure"
            " them by a command of their own"
        )


def _served(model):
    """The `ExportSource` that computes what `worker.Model` does of a `LoadedModel`.

    That is the pooled output where there is no classifier. An exported encoder gives the vectors of
    all tokens, which is more work: here it gets the identity as a classifier, next to none.

    Raises:
      UserError: there is no pooler either.
    """
    from bert_tf.errors import UserError
    from bert_tf.export import source

    found = source.of(model)
    if found.kind in ("classification", "regression"):
        return found
    if not found.has_pooler:
        raise UserError(
            f"{model.source}: has neither classifier nor pooler: only --runtime=tensorflow computes"
            " its first tokens alone"
        )
    hidden = model.config.hidden_size
    arrays = {name: x for name, x in model.arrays.items() if name.startswith("bert/")}
    arrays["output_weights"] = np.eye(hidden, dtype=np.float32)
    arrays["output_bias"] = np.zeros(hidden, np.float32)
    task = {"labels": [str(i) for i in range(hidden)]}
    return source.of(dataclasses.replace(model, arrays=arrays, task=task))


class Artefact(worker.Timed):
    """A model folder exported for a runtime.

    Attributes:
      description: dict of `worker.describe`; `bytes` are those of the artefact's files of the
        model, without a tokenizer's.
      memory_before: None: what the export took hides what the runtime takes.
    """

    def __init__(self, setup, folder, runtime):
        from bert_tf.checkpoints.model_folder import load_model
        from bert_tf.export import artefact, source

        super().__init__()
        self.memory_before = None
        int8 = runtime.endswith(_INT8)
        module = RUNTIMES[runtime.removesuffix(_INT8)]
        module = importlib.import_module(f"bert_tf.export.{module}")
        loaded = load_model(folder)
        model = _served(loaded)
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
            run = module.runner(path, setup.threads or None)
            self.description = {
                **worker.describe(loaded, folder, setup.cases),
                "bytes": round(1e6 * artefact.size_mb(path)),
                "outputs": "logits" if "output_weights" in loaded.arrays else "pooled outputs",
            }
            for case in setup.cases:
                inputs = worker.random_inputs(model.config, *case, setup.seed)
                values = zip(source.INPUTS, inputs.values(), strict=True)
                inputs = {name: value.astype(np.int64) for name, value in values}
                self.prepare(case, lambda run=run, inputs=inputs: run(inputs)[model.main_output])
