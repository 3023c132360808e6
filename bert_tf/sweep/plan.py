"""The runs of a sweep: every task, setting and seed, each with flags and a folder of its own."""

import dataclasses
import hashlib
import itertools
import json
import pathlib
import re

from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.options import refuse_if
from bert_tf.sweep.contents import WORKING, Contents
from bert_tf.sweep.options import ALWAYS, parse_list
from bert_tf.task_names import task_folder

VARIANT = "variant"
RUNS_DIR = "runs"
_LONGEST_NAME = 100


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of run_classifier.py.

    Attributes:
      task: name of the task, None for that of the model or the data.
      setting: {flag: value} of what is compared, the task and the seed left out; the name of a
        variant stands under `VARIANT`.
      seed: int.
      flags: {flag: value} of everything that is given but `output_dir`.
      folder: its output_dir (`pathlib.Path`). It has a digest of the flags in its name, so a run
        with other flags, or of other files, has another folder.
    """

    task: str | None
    setting: dict
    seed: int
    flags: dict
    folder: pathlib.Path

    @property
    def name(self):
        """As lines and messages name it."""
        parts = [self.task, setting_name(self.setting), f"seed={self.seed}"]
        return " ".join(filter(None, parts))

    def command(self):
        """Returns the flags (list of str) of run_classifier.py."""
        values = {**self.flags, "output_dir": self.folder}
        return [f"--{name}" if x is True else f"--{name}={_text(x)}" for name, x in values.items()]


def make_plan(options):
    """Returns the runs (list of `PlannedRun`) of a sweep.

    All settings come with the first seed, then all with the second: an early table has them all.

    Args:
      options: `SweepOptions`, checked.

    Raises:
      UserError: a flag that no run can have, named with the setting that it is in; two settings
        that are the same.
    """
    contents, known = Contents(), {}
    output_dir = pathlib.Path(options.output_dir)
    settings = [found for variant in options.variants for found in _settings(options, variant)]
    runs = []
    for seed, task in itertools.product(options.chosen_seeds, options.chosen_tasks):
        for (named, own), (setting, values) in itertools.product(
            _own_flags(options, task, seed), settings
        ):
            run = PlannedRun(task, named | setting, seed, {**own, **values}, output_dir)
            digest = _digest(run, contents)
            run = dataclasses.replace(run, folder=_folder(run, output_dir, digest))
            _check(run)
            same = known.setdefault(digest, run)
            refuse_if(same is not run, f"{same.name} and {run.name} are the same run")
            runs.append(run)
    _check_plotted(options, runs)
    return runs


def setting_name(setting):
    """Returns text such as `learning_rate=2e-5 freeze_layers=2`."""
    return " ".join(f"{name}={shown(value)}" for name, value in setting.items())


def shown(value):
    """Returns a flag's value as people write it."""
    if isinstance(value, float):
        return re.sub(r"e([+-])0*", r"e\1", repr(value)).removesuffix(".0")
    return _text(value)


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings(options, variant):
    """[(setting, flags)] of a variant: the product of its lists and of those of all runs."""
    name, own = variant
    lists = {flag: parse_list(flag, texts) for flag, texts in {**options.lists, **own}.items()}
    several = [flag for flag, values in lists.items() if len(values) > 1]
    named = {} if name is None else {VARIANT: name}
    found = []
    for values in itertools.product(*lists.values()):
        flags = dict(zip(lists, values, strict=True))
        found.append(({**named, **{flag: flags[flag] for flag in several}}, {**ALWAYS, **flags}))
    return found


def _own_flags(options, task, seed):
    """[(setting, flags)] that a sweep gives each run itself; features are made once for all."""
    if task == "custom" and options.data_dir:
        raise UserError(
            "--data_dir has no effect on the custom task, which reads --train_file and --dev_file"
        )
    flags = {"seed": seed} if task is None else {"task_name": task, "seed": seed}
    if not options.lists.keys() & {"feature_dir", "tfrecord_dir"}:
        flags["feature_dir"] = str(pathlib.Path(options.output_dir) / "features")
    found = []
    for data_dir in options.data_dir or (None,):
        named = {"data_dir": data_dir} if len(options.data_dir) > 1 else {}
        own = {} if data_dir is None else {"data_dir": _data_dir(options, task, data_dir)}
        found.append((named, flags | own))
    return found


def _data_dir(options, task, data_dir):
    """The folder of a task's files; prepared sets of --dataset are in the folder itself."""
    one = task is None or "dataset" in options.lists
    return data_dir if one else str(task_folder(data_dir, task))


def _digest(run, contents):
    """What a run is: its flags, and the content of the files that they name."""
    flags = {k: contents.of(k, x) for k, x in run.flags.items() if k not in WORKING}
    text = json.dumps(flags, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _folder(run, output_dir, digest):
    """The folder that a run has, whichever flags were lists when it was made."""
    parent = output_dir / RUNS_DIR / (run.task or "task")
    parts = [*setting_name(run.setting).split(), f"seed={run.seed}"]
    name = re.sub(r"[^\w.=,+-]+", "-", ",".join(parts))[:_LONGEST_NAME]
    return next(parent.glob(f"*-{digest}"), parent / f"{name}-{digest}")


def _check(run):
    options = ClassifierOptions(given=frozenset(run.flags), **run.flags, output_dir=str(run.folder))
    try:
        options.check()
        refuse_if(not options.do_eval, "--do_eval=false: a sweep compares what is evaluated")
    except UserError as e:
        where = " ".join(filter(None, [run.task, setting_name(run.setting)]))
        raise UserError(f"{where}: {e}" if where else str(e)) from e


def _check_plotted(options, runs):
    for name in options.plotted:
        several = {run.setting.get(name) for run in runs}
        refuse_if(
            len(several) < 2,
            f"--plot={name}: has one value in this sweep, expected a flag with several",
        )
