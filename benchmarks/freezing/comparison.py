"""Trains the variants of benchmarks.freezing in turns and writes the report."""

import json
import math
import pathlib
import shlex
import shutil
import sys

from benchmarks.freezing.forward import forward_shares
from benchmarks.freezing.options import check, parse_seeds, parse_variants
from benchmarks.freezing.runs import Variant, make_run
from benchmarks.freezing.worker import prepare, serve
from benchmarks.worker import PausableWorker, Worker
from bert_tf import files


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
    worker = Worker("features", prepare, full.options)
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
                serve, run.options, run.folder / "log.txt",
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


def compare(options):
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
    from benchmarks import environment
    from benchmarks.freezing.depths import DepthReport
    from benchmarks.freezing.figures import Measured
    from benchmarks.freezing.report import PolicyReport

    work_dir = pathlib.Path(options.work_dir)
    forward = forward_shares(make_run(options, Variant.parse("full"), 0).options, _states(runs))
    measured = [
        Measured(run.variant.name, run.seed, run.results(), _beside(run), forward) for run in runs
    ]
    report = (DepthReport if options.experiment == "depths" else PolicyReport)(measured)
    command = shlex.join(["python", "-m", __package__, *sys.argv[1:]])
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
