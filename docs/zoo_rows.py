"""Prints the rows of docs/zoo.md: python docs/zoo_rows.py SWEEP... LATENCY.json...

SWEEP is the output_dir of run_sweep.py, LATENCY.json what benchmarks.latency --json wrote. Size and
latency of a row are those of the model that its runs start from, which they train and do not
reshape.
"""

import os
import pathlib
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.report import escaping, levers
from bert_tf.sweep.contents import WORKING
from bert_tf.sweep.plan import RUNS_DIR, setting_name, shown

RESULTS = "results.json"
_FIRST = ("do_train", "do_eval", "task_name", "data_dir", "dataset", "model_dir")
_SAME_SIZE = 0.01  # a head more or less


def rows(paths):
    """Returns [{column: text}] of every setting of which a run is done.

    Args:
      paths: folders of sweeps, and files of benchmarks.latency; a model may be in several files.

    Raises:
      UserError: a path is neither; a model that was measured has another size than a run that
        starts from its folder.
    """
    sweeps, measured = [], []
    for path in map(pathlib.Path, paths):
        found = files.read_json(path / RESULTS if path.is_dir() else path, "sweep or latencies")
        if found.get("kind") == "sweep" and path.is_dir():
            sweeps.append((path, found))
        elif isinstance(found.get("latency"), dict) and isinstance(found.get("folders"), dict):
            measured.append(found)
        else:
            raise UserError(f"{path}: is neither a sweep's folder nor a file of benchmarks.latency")
    shapes = list(dict.fromkeys(shape for one in measured for shape in one["latency"]))
    return [
        _row(folder, sweep, setting, measured, shapes)
        for folder, sweep in sweeps
        for setting in sweep["settings"]
        if setting["values"]
    ]


def _row(folder, sweep, setting, measured, shapes):
    runs = [x for x in sweep["runs"] if _of_setting(x, setting)]
    flags = runs[0]["flags"]
    model = flags.get("model_dir") or flags.get("model")
    size, latencies = _measurements(model, measured)
    if size:
        _require_size(folder, runs[0], size, model)
    return {
        "task": setting["task"],
        "lever": _lever(flags, model),
        "setting": setting["setting"].get("variant") or setting_name(setting["setting"]),
        "metric": setting["metric"],
        "median (range)": _spread(setting),
        "seeds": str(len(setting["values"])),
        "minutes": f"{setting['seconds'] / 60:.1f}",
        "MB": f"{size['bytes'] / 1e6:.1f}" if size else "",
        **{f"latency, {x.replace('x', ' x ')}": latencies.get(x, "") for x in shapes},
        "command": escaping.code(_command(flags)),
    }


def _of_setting(run, setting):
    same = (run["task"] or setting["task"], run["setting"]) == (setting["task"], setting["setting"])
    return same and run["status"] == "done"


def _lever(flags, model):
    path = pathlib.Path(model or "", "bert_config.json")
    config = files.read_json(path, "model configuration") if path.is_file() else {}
    more = [flags["precision"]] if flags.get("precision", "float32") != "float32" else []
    return " + ".join([*levers.of(flags, {}, config, {}), *more]) or "dense"


def _spread(setting):
    median = f"{setting['median']:.4f}"
    several = len(setting["values"]) > 1
    return median + f" ({setting['min']:.4f} to {setting['max']:.4f})" * several


def _measurements(model, measured):
    """(sizes of a model, {shape: its latency}) of what was measured; (None, {}) if it was not."""
    size, found = None, {}
    for one in measured:
        for name, folder in one["folders"].items():
            if model and os.path.realpath(folder) == os.path.realpath(model):
                size = one["models"][name]
                for shape, figures in one["latency"].items():
                    at = figures[name]
                    found[shape] = f"{1000 * at['p50']:.1f} ms, {at['ratio'][0]:.2f}x"
    return size, found


def _require_size(folder, run, size, model):
    path = folder / RUNS_DIR / pathlib.Path(*pathlib.Path(run["folder"]).parts[-2:]) / RESULTS
    trained = files.read_json(path, "results of the run").get("parameters", {}).get("total")
    if trained and abs(trained / size["parameters"] - 1) > _SAME_SIZE:
        raise UserError(
            f"{path}: the run has {trained:,} parameters, {model} {size['parameters']:,} where its"
            " latency was measured: measure the model that the run starts from"
        )


def _command(flags):
    names = dict.fromkeys([*(name for name in _FIRST if name in flags), *flags])
    given = {name: flags[name] for name in names if name not in WORKING}
    words = [f"--{k}" if x is True else shlex.quote(f"--{k}={shown(x)}") for k, x in given.items()]
    return " ".join(["run_classifier.py", *words])


def markdown(found):
    """Returns the table (str) of what `rows` returned."""
    names = list(found[0])
    lines = [names, ["---"] * len(names)]
    lines += [[x if x[:1] == "`" else escaping.markdown(x) for x in row.values()] for row in found]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(paths):
    """Prints the table; returns the exit status."""
    try:
        found = rows(paths)
        if not found:
            raise UserError("no run of a sweep is done: name the output_dir of run_sweep.py")
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(markdown(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
