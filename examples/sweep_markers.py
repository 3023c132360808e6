"""Fine-tunes every marker of a pre-training run and plots the metric against the hours it took.

Each model folder (marker-0.25, ..., and the run's own at the end) goes through run_classifier.py
as it is, once per seed; the same shape from random weights shows what the pre-training is worth.
Writes sweep.json and sweep.png. What is done already is not done again.

  python examples/sweep_markers.py --run_dir=runs/pretrained --output_dir=runs/sweep \\
      --classifier_flags='--task_name=sst-2 --data_dir=glue_data/SST-2 --max_train_examples=5000'
"""

import dataclasses
import pathlib
import shlex
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import cli, files
from bert_tf.errors import UserError
from bert_tf.options import check_table, option

ROOT = pathlib.Path(__file__).resolve().parents[1]
_GROUP = "Sweep"


def parse_seeds(text, flag="seeds"):
    """Returns the integers of `text`.

    Raises:
      UserError: it is no list of integers; the message names `--flag`.
    """
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise UserError(f"--{flag}={text}: expected such as 42,43,44") from None


@dataclasses.dataclass(kw_only=True)
class Options:
    """Flags of this script."""

    GROUPS = (_GROUP,)

    run_dir: str | None = option(
        None,
        "output_dir of run_pretraining.py.",
        _GROUP,
        required="the folder of the pre-training run",
    )
    output_dir: str | None = option(
        None,
        "Folder for the fine-tuning runs and the plot.",
        _GROUP,
        required="the folder to write to",
    )
    classifier_flags: str = option(
        "", "Flags of run_classifier.py for every run: task, data, epochs, rate.", _GROUP
    )
    seeds: str = option(
        "42,43,44", "Seeds to fine-tune each model with.", _GROUP, valid=parse_seeds
    )
    random_baseline: bool = option(True, "Also the same shape from random weights.", _GROUP)
    given: frozenset = frozenset()


def main(options):
    """Fine-tunes, tabulates and plots."""
    check_table(options)
    seeds = parse_seeds(options.seeds)
    output_dir = files.make_output_dir(options.output_dir)
    points = []
    for name, hours, arguments in models(pathlib.Path(options.run_dir), options.random_baseline):
        runs = [fine_tune(options, output_dir, name, seed, arguments) for seed in seeds]
        metric, values = runs[0][0], [value for _, value in runs]
        points.append({"model": name, "hours": hours, "metric": metric, "values": values})
        print(_line(points[-1]), flush=True)
    files.write_json(output_dir / "sweep.json", {"points": points, "seeds": seeds})
    plot(points, output_dir / "sweep.png")
    print(f"\n{output_dir / 'sweep.json'}, sweep.png")


def models(run_dir, random_baseline):
    """Returns [(name, hours spent, flags that name the model)], in the order of the hours.

    Raises:
      UserError: the run left no model.
    """
    results = files.read_json(run_dir / "results.json", "results of the pre-training run")
    found = []
    for marker in results.get("markers", []):
        name = f"marker-{marker['marker']:g}"
        found.append((name, marker["spent_seconds"] / 3600, [f"--model_dir={run_dir / name}"]))
    if (run_dir / "bert_model.ckpt.index").exists():
        hours = results["spent_seconds"] / 3600
        found.append(("final", hours, [f"--model_dir={run_dir}"]))
    if not found:
        raise UserError(f"--run_dir={run_dir}: holds neither markers nor a final model")
    if random_baseline:
        shape = pathlib.Path(found[0][2][0].partition("=")[2])
        arguments = [f"--bert_config_file={shape / 'bert_config.json'}"]
        found.insert(0, ("random", 0.0, [*arguments, f"--vocab_file={shape / 'vocab.txt'}"]))
    return found


def fine_tune(options, output_dir, name, seed, arguments):
    """Returns (name of the main metric, its value) of one fine-tuning run, made unless it is there.

    Raises:
      UserError: run_classifier.py failed.
    """
    folder = output_dir / name / f"seed-{seed}"
    if not (folder / "results.json").exists():
        command = [
            sys.executable, str(ROOT / "run_classifier.py"), "--do_train", "--do_eval",
            *arguments, f"--seed={seed}", f"--output_dir={folder}",
            *shlex.split(options.classifier_flags),
        ]  # fmt: skip
        print("$ " + shlex.join(command), flush=True)
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
            raise UserError(f"run_classifier.py failed on {name}, seed {seed}, see above")
    results = files.read_json(folder / "results.json", "results of the fine-tuning run")
    metric = results["best"]["metric"]
    return metric, next(iter(results["metrics"].values()))[metric]


def plot(points, path):
    """Draws mean and range of the metric over the seeds against the hours of pre-training."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    trained = [p for p in points if p["model"] != "random"]
    hours = [p["hours"] for p in trained]
    means = [statistics.mean(p["values"]) for p in trained]
    below = [m - min(p["values"]) for m, p in zip(means, trained, strict=True)]
    above = [max(p["values"]) - m for m, p in zip(means, trained, strict=True)]
    axes.errorbar(hours, means, yerr=[below, above], marker="o", capsize=3, label="pre-trained")
    for point in points:
        if point["model"] == "random":
            mean = statistics.mean(point["values"])
            axes.axhline(mean, linestyle="--", color="grey", label="random weights")
            axes.axhspan(min(point["values"]), max(point["values"]), color="grey", alpha=0.2)
    axes.set_xlabel("hours of pre-training")
    axes.set_ylabel(f"{points[0]['metric']} ({len(points[0]['values'])} seeds)")
    axes.legend()
    figure.tight_layout()
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
    pyplot.close(figure)


def _line(point):
    values = point["values"]
    return (
        f"{point['model']:<14} {point['hours']:8.3f} h  {point['metric']}"
        f" {statistics.mean(values):.4f}  ({min(values):.4f} to {max(values):.4f},"
        f" {len(values)} seeds)"
    )


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
