"""Measures models side by side: size, operations, memory, latency and throughput.

    python -m benchmarks.latency --models=dense=FOLDER,50%=FOLDER,75%=FOLDER --png=latency.png

Every model is a process that stays alive and runs only when it is asked to, in turn, so slow
spells of the machine hit all of them; ratios are medians over the rounds. What runs is what a user
serves: the logits of a classifier, else the pooled output, of a batch of fixed shape, by a traced
function, or by what export_model.py writes for another --runtime. Tokens are random, without
padding. Memory is what a process of TensorFlow grew by from reading the model to the last call.
"""

import itertools
import json
import os
import shlex
import statistics
import sys

import numpy as np
from absl import app, flags

import bert_tf  # noqa: F401
from benchmarks import environment
from benchmarks.latency import report
from benchmarks.latency.artefact import check_runtime, check_settings
from benchmarks.latency.worker import Setup, serve
from benchmarks.worker import Worker
from bert_tf import machine
from bert_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_list("models", None, "NAME=FOLDER of each model; ratios are to the first.")
flags.DEFINE_list(
    "runtime",
    ["tensorflow"],
    "Runtimes, each of which runs all models: tensorflow, savedmodel, onnxruntime, openvino,"
    " litert; -int8 behind the last three for int8 kernels and word table.",
)
flags.DEFINE_list("batches", ["1", "8", "32"], "Batch sizes.")
flags.DEFINE_list("lengths", ["32", "128"], "Sequence lengths in tokens.")
flags.DEFINE_enum(
    "precision", "float32", ["float32", "bfloat16", "float16"], "TensorFlow computes in it."
)
flags.DEFINE_integer("threads", 0, "Threads of each model; 0: TensorFlow's choice.", lower_bound=0)
flags.DEFINE_bool("xla", False, "Compile TensorFlow's functions with XLA.")
flags.DEFINE_integer("rounds", 10, "Rounds in which every model has one turn.", lower_bound=1)
flags.DEFINE_float("turn_seconds", 0.5, "Length of a turn; at least one call.", lower_bound=0)
flags.DEFINE_integer("seed", 42, "Seed of the tokens.")
flags.DEFINE_string("json", None, "Write all figures to this file.")
flags.DEFINE_string("png", None, "Draw the ratios into this file.")
flags.mark_flag_as_required("models")


class ModelWorker(Worker):
    """A model's process, seen from the parent.

    Attributes:
      description: what `worker.describe` returns.
    """

    def __init__(self, setup, name, folder, runtime):
        super().__init__(name, serve, setup, folder, runtime)
        self.description = self.receive()

    def run(self, case, seconds):
        """Returns the seconds of each call of a turn."""
        return self.ask((case, seconds))

    def stop(self):
        """Ends the process; returns by how many bytes its memory grew at most, None if unknown."""
        memory = self.ask(None)
        self.join()
        return memory


def parse_models(values):
    """Returns {name: folder} of the values of --models.

    Raises:
      UserError: one is not NAME=FOLDER, or a name comes twice.
    """
    models = {}
    for value in values:
        name, _, folder = value.partition("=")
        if not name or not folder:
            raise UserError(f"--models: expected NAME=FOLDER, found {value!r}")
        if name in models:
            raise UserError(f"--models: the name {name!r} comes twice")
        models[name] = folder
    return models


def parse_sizes(flag, values):
    """Returns the values of a flag as integers of 1 or more.

    Raises:
      UserError: one is not.
    """
    for value in values:
        if not value.isdecimal() or not int(value):
            raise UserError(f"--{flag}: expected integers of 1 or more, found {value!r}")
    return [int(value) for value in dict.fromkeys(values)]


def measure(workers, cases, rounds, turn_seconds):
    """Returns {case: {name: [seconds of each call of a round, one list per round]}}."""
    taken = {case: {worker.name: [] for worker in workers} for case in cases}
    for _, case, worker in itertools.product(range(rounds), cases, workers):
        taken[case][worker.name].append(worker.run(case, turn_seconds))
    return taken


def summarise(taken, case):
    """Returns {name: figures of a case} of what `measure` returned for it.

    Figures: `p50` and `p95` of all calls in seconds; `throughput` in examples per second, the
    median over rounds; `ratio` of median latency to the first model's, (median, least, largest)
    over rounds.
    """
    first = next(iter(taken.values()))
    figures = {}
    for name, rounds in taken.items():
        ratios = [
            statistics.median(turn) / statistics.median(base)
            for turn, base in zip(rounds, first, strict=True)
        ]
        calls = np.concatenate(rounds)
        figures[name] = {
            "p50": float(np.percentile(calls, 50)),
            "p95": float(np.percentile(calls, 95)),
            "throughput": case[0] * statistics.median(1 / statistics.mean(turn) for turn in rounds),
            "ratio": (statistics.median(ratios), min(ratios), max(ratios)),
        }
    return figures


def compare(models, runtimes, setup, rounds, turn_seconds):
    """Measures {name: folder}; returns (sizes {name: dict}, {case: {name: figures}}).

    Where there are several runtimes, a name is that of the model and that of the runtime.
    """
    workers = [
        ModelWorker(setup, _named(name, runtime, runtimes), folder, runtime)
        for runtime, (name, folder) in itertools.product(runtimes, models.items())
    ]
    taken = measure(workers, setup.cases, rounds, turn_seconds)
    sizes = {worker.name: {**worker.description, "memory": worker.stop()} for worker in workers}
    return sizes, {case: summarise(taken[case], case) for case in setup.cases}


def folders_of(models, runtimes):
    """Returns {name of `compare`: absolute path of the model} of {name: folder}."""
    return {
        _named(name, runtime, runtimes): os.path.abspath(folder)
        for runtime, (name, folder) in itertools.product(runtimes, models.items())
    }


def _named(model, runtime, runtimes):
    return model if len(runtimes) == 1 else f"{model} {runtime}"


def main(argv):
    """Runs the models in turn, prints the tables and writes the files."""
    del argv
    try:
        cases = itertools.product(
            parse_sizes("batches", FLAGS.batches), parse_sizes("lengths", FLAGS.lengths)
        )
        setup = Setup(tuple(cases), FLAGS.precision, FLAGS.threads, FLAGS.xla, FLAGS.seed)
        models, runtimes = parse_models(FLAGS.models), list(dict.fromkeys(FLAGS.runtime))
        for runtime in runtimes:
            check_runtime(runtime)
        check_settings(runtimes, FLAGS.precision, FLAGS.xla)
        sizes, latency = compare(models, runtimes, setup, FLAGS.rounds, FLAGS.turn_seconds)
    except UserError as e:
        sys.exit(f"error: {e}")
    print(environment.describe())
    print(
        f"{FLAGS.precision}{', XLA' if FLAGS.xla else ''},"
        f" {FLAGS.threads or 'all'} threads, {FLAGS.rounds} rounds of"
        f" {FLAGS.turn_seconds:g} s for each model and shape\n"
    )
    print(report.size_table(sizes) + "\n")
    print(report.latency_table(latency))
    if FLAGS.png:
        report.save_image(FLAGS.png, sizes, latency)
    if FLAGS.json:
        shapes = {f"{batch}x{length}": figures for (batch, length), figures in latency.items()}
        with open(FLAGS.json, "w", encoding="utf-8") as file:
            found = {
                "models": sizes,
                "folders": folders_of(models, runtimes),
                "latency": shapes,
                "command": shlex.join(["python", "-m", "benchmarks.latency", *sys.argv[1:]]),
                "environment": machine.describe(),
            }
            json.dump(found, file, indent=2)


if __name__ == "__main__":
    app.run(main)
