"""Compares full fine-tuning with freezing: accuracy, time by phase, frozen layers over time.

    python benchmarks/freezing.py --task_name=ag --data_dir=agnews --model_dir=minilm \\
        --num_train_epochs=4 --eval_batch_size=64 --seeds=1,2,3 --work_dir=runs/freezing

All flags of run_classifier.py that no variant sets go to every run. Each run is a process of its
own; those of a seed take turns, and the clock of a run stands still between its turns, so slow
spells of the machine hit all variants. What is measured already is not run again: the same command
goes on after a kill (runs that were under way begin anew), and more seeds or variants may be asked
for later.

The other experiment trains the model once for each number of frozen layers, and evaluates it after
each epoch:

    python benchmarks/freezing.py --experiment=depths --task_name=mrpc --data_dir=glue_data/MRPC \\
        --model_dir=minilm --work_dir=runs/depths

Written to work_dir: a folder for each run, report.md with all tables, report.png, report.json.
"""

import os
import sys

if not __package__:
    # Run as a script, this folder heads the search path, and its tokenize.py would hide Python's.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import dataclasses
import json
import math
import pathlib
import re
import shlex
import shutil
import typing

from benchmarks import freezing_worker
from benchmarks.freezing_forward import forward_shares
from benchmarks.freezing_runs import Variant, make_run
from benchmarks.worker import PausableWorker, Worker
from bert_tf import cli, files
from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.options import (
    Needs,
    at_least,
    check_needs,
    check_table,
    option,
    option_fields,
)

_GROUP = "What to compare"
_OWN_FLAGS = frozenset(
    {"do_train", "do_eval", "do_predict", "output_dir", "timestamped_output_dir", "seed"}
    | {"freeze_layers", "freeze_policy", "freeze_schedule"}
)  # set by the benchmark
_POLICIES = Needs("--experiment=policies", lambda options: options.experiment == "policies")


def parse_variants(text):
    """Returns the list of `Variant` of --variants, each once.

    Raises:
      UserError: one of them is none.
    """
    return [Variant.parse(name) for name in dict.fromkeys(text.split(","))]


def parse_seeds(text, flag="seeds"):
    """Returns the integers of --seeds.

    Raises:
      UserError: it is no list of integers.
    """
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--{flag}={text}: expected integers with commas between them")
    return [int(seed) for seed in dict.fromkeys(text.split(","))]


@dataclasses.dataclass(kw_only=True)
class BenchmarkOptions(ClassifierOptions):
    """Options of the benchmark; those of `ClassifierOptions` are of every run."""

    GROUPS: typing.ClassVar = (_GROUP, *ClassifierOptions.GROUPS)

    work_dir: str | None = option(
        None,
        "Folder for all runs and the report.",
        _GROUP,
        required="the folder for all runs and the report",
    )
    experiment: str = option(
        "policies",
        "policies: the variants. depths: every number of frozen layers, evaluated at each epoch.",
        _GROUP,
        ("policies", "depths"),
    )
    variants: str = option(
        "full,static-4,autofreeze,autofreeze+cache,random+cache",
        "policies: what to train: full, static-N, static-embeddings, autofreeze, random, the last"
        " two also as autofreeze-75 with a --percentile of their own, each but full with or"
        " without +cache. Ratios are to full of the same seed.",
        _GROUP,
        valid=lambda text, _: parse_variants(text),
        needs=_POLICIES,
    )
    seeds: str = option(
        "1",
        "Comma-separated seeds: of head, data order and dropout.",
        _GROUP,
        valid=parse_seeds,
    )
    slice_seconds: float = option(
        20.0,
        "Length of a turn; 0 gives each run a single turn of its whole length.",
        _GROUP,
        valid=at_least(0),
    )


def check(options):
    """Raises `UserError` for flags that are missing or that the benchmark sets itself."""
    own = {field.name for field in option_fields(BenchmarkOptions)}
    check_table(options, own - {field.name for field in option_fields(ClassifierOptions)})
    stray = sorted(_OWN_FLAGS & options.given)
    if stray:
        raise UserError(f"--{stray[0]}: the benchmark sets it, see --variants and --seeds")
    check_needs(options, ("save_checkpoints_steps", "train_token_budget"), _POLICIES)


def plan_runs(options):
    """Returns the list of `Run`, seed by seed."""
    seeds = parse_seeds(options.seeds)
    variants = parse_variants(options.variants)
    changes = {}
    if options.experiment == "depths":
        variants, changes = _depths(options)
    runs = [make_run(options, variant, seed, **changes) for seed in seeds for variant in variants]
    for run in runs:
        run.options.check()
    files.make_output_dir(options.work_dir, "work_dir")
    return runs


def _depths(options):
    """(a `Variant` for each number of frozen layers, the flag for evaluation at each epoch)."""
    full = make_run(options, Variant.parse("full"), 0)
    full.options.check()
    worker = Worker("features", freezing_worker.prepare, full.options)
    found = worker.receive()
    worker.join()
    names = ["full", "static-embeddings", *(f"static-{n + 1}" for n in range(found["layers"]))]
    epoch = math.ceil(found["rows"] / options.train_batch_size)
    return [Variant.parse(name) for name in names], {"save_checkpoints_steps": epoch}


def train_in_turns(runs, slice_seconds):
    """Trains all `runs` (list of `Run`) in turns; writes results.json and turns.json of each.

    turns.json has `seconds`, the run's turns together, and `beside`, the runs it took turns with.
    """
    workers = {}
    try:
        for run in runs:
            shutil.rmtree(run.folder, ignore_errors=True)  # a run that was killed
            run.folder.mkdir(parents=True)
            workers[run.name] = worker = PausableWorker(
                f"{run.name} (see {run.folder / 'log.txt'})",
                freezing_worker.serve, run.options, run.folder / "log.txt",
            )  # fmt: skip
            worker.receive()  # "ready": the first of them has made the features
            worker.pause()
            worker.tell("train")
            print(f"{run.name}: ready", flush=True)
        left = list(runs)
        while left:
            for run in list(left):
                if workers[run.name].turn(slice_seconds or None):
                    _finish(run, workers[run.name], runs)
                    left.remove(run)
    finally:
        for worker in workers.values():
            worker.kill()


def _finish(run, worker, runs):
    results = worker.receive()
    beside = [other.name for other in runs]
    files.write_json(run.folder / "turns.json", {"seconds": worker.running, "beside": beside})
    worker.join()
    metrics = next(iter(results["metrics"].values()))
    outcome = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"{run.name}: {worker.running:.0f} s  {outcome}", flush=True)


def main(options):
    """Runs what is missing, seed by seed, and writes the report after each seed."""
    check(options)
    runs = plan_runs(options)
    seeds = list(dict.fromkeys(run.seed for run in runs))
    missing = [run for run in runs if run.results() is None]
    for seed in seeds:
        left = [run for run in missing if run.seed == seed]
        if left:
            train_in_turns(left, options.slice_seconds)
            write_report(options, [run for run in runs if run.results()])
    write_report(options, runs)
    print((pathlib.Path(options.work_dir) / "report.md").read_text(encoding="utf-8"))


def write_report(options, runs):
    """Writes report.md, report.png and report.json of runs that are done."""
    from benchmarks import environment, freezing_depths, freezing_figures, freezing_report

    work_dir = pathlib.Path(options.work_dir)
    forward = forward_shares(make_run(options, Variant.parse("full"), 0).options, _states(runs))
    measured = [
        freezing_figures.Measured(run.variant.name, run.seed, run.results(), _beside(run), forward)
        for run in runs
    ]
    depths = options.experiment == "depths"
    report = (freezing_depths.DepthReport if depths else freezing_report.PolicyReport)(measured)
    command = shlex.join(["python", *sys.argv])
    text = f"```\n{command}\n```\n\n```\n{environment.describe()}\n```\n\n{report.text()}\n"
    files.write_text(work_dir / "report.md", text)
    files.write_text(work_dir / "report.json", json.dumps(report.figures(), indent=2) + "\n")
    with files.atomic_path(work_dir / "report.png") as path:
        report.save_image(path)


def _states(runs):
    """{(frozen layers or None, from cache or not)} of the runs' steps."""
    phases = [phase for run in runs for phase in run.results()["phases"]]
    return {(phase["frozen_layers"], phase["cached"]) for phase in phases}


def _beside(run):
    path = run.folder / "turns.json"
    return files.read_json(path, "turns")["beside"] if path.exists() else []


if __name__ == "__main__":
    cli.run(BenchmarkOptions, main, __doc__)
