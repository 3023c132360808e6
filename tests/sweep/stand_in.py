"""A stand-in for run_classifier.py that ends at once, and sweeps of it in this process."""

import json
import pathlib

from bert_tf.sweep.options import SweepOptions
from bert_tf.sweep.plan import make_plan

# What it measures is known: 0.5 + 1000 times the learning rate + a hundredth of the seed. It waits
# in a folder of that name, and fails with a weight decay of 0.5.
PROGRAM = """
import json, os, pathlib, sys, time

def value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)

flags = {k: value(x) if e else True for k, e, x in (w[2:].partition("=") for w in sys.argv[1:])}
folder = pathlib.Path(flags["output_dir"])
with open(folder / "sessions.txt", "a") as f:
    f.write(f"{os.getpid()}\\n")
names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES")
place = {"cores": sorted(os.sched_getaffinity(0)), **{k: os.environ.get(k) for k in names}}
(folder / "place.json").write_text(json.dumps(place))
print("training", flush=True)
(folder / "bert_model.ckpt.index").write_text("weights")
(folder / "checkpoints").mkdir(exist_ok=True)
while "wait" in str(folder):
    time.sleep(0.05)
if flags.get("weight_decay") == 0.5:
    print("Traceback (most recent call last):\\nerror: the disk is full\\nbye", file=sys.stderr)
    sys.exit(1)
found = 0.5 + 1000 * flags.get("learning_rate", 5e-5) + flags["seed"] / 100
metrics = {"dev": {"accuracy": found, "f1": 0.1, "loss": 1.0}}
results = {"task": flags["task_name"], "metrics": metrics, "options": flags,
           "best": {"metric": "accuracy", "value": found}, "seconds": {"total": 2.0}}
(folder / "results.json").write_text(json.dumps(results))
"""


def write_program(folder):
    """Writes the stand-in to `folder`; returns its path."""
    path = pathlib.Path(folder) / "stand_in.py"
    path.write_text(PROGRAM)
    return path


def make_data(folder, *names):
    """Writes a folder for each task, with a file in it; returns `folder`."""
    for name in names or ("SST-2", "MRPC"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "train.tsv").write_text("sentence\tlabel\n")
    return folder


def sweep_options(folder, **values):
    """`SweepOptions` of a sweep of SST-2 in `folder`, as the command line makes them.

    Args:
      folder: with `data` for the tasks and `sweep` for the runs.
      **values: flags; those of run_classifier.py as text.
    """
    make_data(folder / "data", "SST-2", "MRPC")
    own = {"tasks": "sst-2", "data_dir": str(folder / "data"), "output_dir": str(folder / "sweep")}
    values = {**own, "model_dir": "minilm", **values}
    lists = {f.name for f in SweepOptions.__dataclass_fields__.values() if f.type is tuple}
    values = {k: (x,) if k in lists and isinstance(x, str) else x for k, x in values.items()}
    values = {k: x for k, x in values.items() if x is not None}
    return SweepOptions(given=frozenset(values), **values)


def plan(folder, **values):
    """The runs of such a sweep."""
    options = sweep_options(folder, **values)
    options.check()
    return make_plan(options)


def write_results(run, value, task="sst-2", metric="accuracy", split="dev", **more):
    """Writes results.json of a run that is done."""
    measured = {metric: value, "loss": 0.1}
    results = {
        "task": task,
        "metrics": {split: measured},
        "options": run.flags,
        "best": {"metric": metric, "value": value},
        "seconds": {"total": 3.0},
        **more,
    }
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "results.json").write_text(json.dumps(results))
