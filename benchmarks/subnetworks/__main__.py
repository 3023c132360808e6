"""Measures a training step over all sub-networks against its separate passes.

    python -m benchmarks.subnetworks --model_dir=runs/sst2

In one process, interleaved: the compiled step over all sub-networks and with a sample of them
(optimizer included), and each of its passes compiled alone, forward and backward, with the
teacher's forward pass. The table has medians and ratios.
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import time
import types

import numpy as np

from bert_tf import cli
from bert_tf.options import at_least, option

GROUP = "What to measure"


@dataclasses.dataclass(kw_only=True)
class Options:
    """Options of the benchmark."""

    given: frozenset = frozenset()
    GROUPS = (GROUP,)

    model_dir: str | None = option(None, "A model folder; MiniLM's shape if absent.", GROUP)
    width_mult_list: str = option("0.25,0.5,0.75,1.0", "Widths.", GROUP)
    depth_mult_list: str = option("0.5,0.75,1.0", "Depths.", GROUP)
    sampling: str = option("sandwich", "The sample that is compared with all.", GROUP)
    batch_size: int = option(32, "Rows of a batch.", GROUP, valid=at_least(1))
    length: int = option(32, "Tokens of a row.", GROUP, valid=at_least(2))
    rounds: int = option(10, "Rounds; each times everything once.", GROUP, valid=at_least(1))
    precision: str = option("float32", "Compute precision.", GROUP, ("float32", "bfloat16"))
    output: str | None = option(None, "JSON file to write the times to.", GROUP)


def main(options):
    """Prints the environment and the table."""
    from benchmarks import environment

    print(environment.describe())
    times = _measure(_functions(options), options.rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    rounds = range(options.rounds)
    parts = [name for name in times if name.startswith(("pass ", "teacher"))]
    apart = statistics.median([sum(times[name][i] for name in parts) for i in rounds])
    for name, seconds in medians.items():
        print(f"{1e3 * seconds:9.1f} ms  {name}")
    print(f"{1e3 * apart:9.1f} ms  all passes and the teacher, apart")
    ratio = {
        "step over all / its parts apart": [
            times["step: all"][i] / sum(times[name][i] for name in parts) for i in rounds
        ],
        f"step: {options.sampling} / step over all": [
            times[f"step: {options.sampling}"][i] / times["step: all"][i] for i in rounds
        ],
    }
    for name, values in ratio.items():
        print(
            f"{statistics.median(values):9.3f}     {name} ({min(values):.3f} to {max(values):.3f})"
        )
    if options.output:
        pathlib.Path(options.output).write_text(json.dumps(times, indent=1), encoding="utf-8")


def _measure(functions, rounds):
    """{name: [seconds]} of functions that are called in turn, twice before they count."""
    times = {name: [] for name in functions}
    for index in range(rounds + 2):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if index >= 2:
                times[name].append(time.perf_counter() - started)
    return times


def _functions(options):
    """{name: callable that runs it once}."""
    import tensorflow as tf
    import tf_keras as keras

    from bert_tf.training import allocator

    allocator.keep_freed_memory()
    keras.mixed_precision.set_global_policy(
        "float32" if options.precision == "float32" else "mixed_bfloat16"
    )
    config, arrays = _model(options)
    data = _batch(options, config)
    found = {}
    for sampling in ("all", options.sampling):
        model, _ = _compiled(options, config, arrays, sampling)
        step = _step(model, data)
        found[f"step: {sampling}"] = step
    model, levers = _compiled(options, config, arrays, "all")
    variables = model.trained_weights
    shared = levers[1].shared

    @tf.function
    def teacher():
        return tf.nest.map_structure(tf.identity, shared(data[0]))

    wanted = teacher()

    def one_pass(one):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss, _ = model.objective(data, 1.0 / options.batch_size, one, wanted)
        return [g for g in tape.gradient(loss, variables) if g is not None]

    found["teacher"] = lambda: tf.nest.flatten(teacher())[0].numpy()
    for name, one in zip(levers[0].views(), model.passes(), strict=True):
        run = tf.function(functools.partial(one_pass, one))
        found[f"pass {name}"] = functools.partial(_wait, run)
    return found


def _step(model, data):
    """A callable that makes one update, by the compiled function that `fit` uses."""
    import tensorflow as tf

    function = model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(data).repeat())
    return lambda: float(function(batches)["loss"])


def _wait(run):
    run()[-1].numpy()


def _model(options):
    from bert_tf.checkpoints.model_folder import load_model
    from bert_tf.config import BertConfig

    if options.model_dir:
        found = load_model(options.model_dir)
        return found.config, found.arrays
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    return BertConfig(vocab_size=30522, type_vocab_size=2, **shape), None


def _compiled(options, config, arrays, sampling):
    """(a compiled classifier, its levers)."""
    from bert_tf.checkpoints.model_folder import LoadedModel
    from bert_tf.checkpoints.report import assign_arrays
    from bert_tf.classification import ClassifierOptions
    from bert_tf.classification.model import SequenceClassifier
    from bert_tf.training.lever import make_levers
    from bert_tf.training.optimization import make_optimizer

    flags = {
        "do_train": True,
        "training_phase": "dynabert",
        "width_mult_list": options.width_mult_list,
        "depth_mult_list": options.depth_mult_list,
        "subnetwork_sampling": sampling,
        "model_dir": "the model itself",
    }
    flags = ClassifierOptions(given=frozenset(flags), **flags)
    source = LoadedModel(config.replace(extra={"dynabert": {"rewired": True}}), {}, "the model")
    levers = make_levers(flags, source)
    models = []
    for _ in range(2):
        model = SequenceClassifier(config, 2)
        if arrays:
            assign_arrays(model.model_weights, arrays, "the model")
        models.append(model)
    run = types.SimpleNamespace(
        options=flags, source=source, model=models[0], load_other=lambda *_: (models[1], ""),
        strategy=None, chief=False, output_dir=pathlib.Path(),
    )  # fmt: skip
    for lever in levers:
        lever.source(source)
        lever.begin(run)
    models[0].compile(make_optimizer("adamw", 2e-5), levers=levers)
    return models[0], levers


def _batch(options, config):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shape = [options.batch_size, options.length]
    inputs = {
        "input_word_ids": rng.integers(1000, config.vocab_size, shape),
        "input_mask": np.ones(shape),
        "input_type_ids": np.zeros(shape),
    }
    inputs = {name: tf.constant(x, tf.int32) for name, x in inputs.items()}
    return inputs, tf.constant(rng.integers(0, 2, options.batch_size), tf.int32)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
