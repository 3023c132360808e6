"""Flags of run_sweep.py: its own, and those of run_classifier.py as lists (no TensorFlow)."""

import dataclasses
import pathlib
import re
import shlex
import typing

from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.options import (
    SEED,
    at_least,
    check_table,
    list_option,
    lists_of,
    option,
    option_fields,
    parse_value,
    refuse_if,
)
from bert_tf.task_names import TASK_NAMES, canonical_name

SWEEP, RUNS = "What to compare", "How to run it"

OWN = ("task_name", "seed", "data_dir", "output_dir")
"""Flags of run_classifier.py that a sweep gives each run itself."""
_NO_RUN = ("timestamped_output_dir", "list_datasets", "list_configs", "dataset_info")

# Those of the pruning repository's run_all.sh, in its order: WNLI is among them, CoLA is not.
GLUE = ("rte", "sts-b", "wnli", "sst-2", "mrpc", "qnli", "qqp", "mnli")
PRESETS = {
    "glue": {
        "learning_rate": ("5e-5,4e-5,3e-5,2e-5",),
        "num_train_epochs": ("3",),
        "train_batch_size": ("32",),
        "max_seq_length": ("128",),
    }
}
"""{name: {flag: texts}} of the flags that a preset gives."""

ALWAYS = {"do_train": True, "do_eval": True}
"""Defaults of flags of run_classifier.py that are others in a sweep."""

_CLASSIFIER = lists_of(ClassifierOptions, (*OWN, *_NO_RUN), ALWAYS)


def parse_tasks(text, flag="tasks"):
    """Returns the names of the tasks in `text`.

    Raises:
      UserError: one of them is unknown, or there twice.
    """
    names = []
    for part in text.split(","):
        name = "custom" if part.strip().lower() == "custom" else canonical_name(part)
        if name is None:
            raise UserError(
                f"--{flag}={text}: unknown task {part.strip()!r}, expected names out of"
                f" {', '.join(TASK_NAMES)}, custom"
            )
        names.append(name)
    return _each_once(names, f"--{flag}={text}")


def parse_seeds(text, flag="seeds"):
    """Returns the seeds (list of int) in `text`.

    Raises:
      UserError: it is no list of seeds, or has one twice.
    """
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--{flag}={text}: expected whole numbers such as 1,2,3") from None
    for seed in seeds:
        SEED(seed, flag)
    return _each_once(seeds, f"--{flag}={text}")


def parse_devices(text, flag="devices"):
    """Returns the names of the devices in `text`, as CUDA_VISIBLE_DEVICES has them.

    Raises:
      UserError: one of them is empty.
    """
    names = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[\w/.:-]+", name) and name != "-1" for name in names):
        raise UserError(f"--{flag}={text}: expected numbers of GPUs such as 0,1")
    return names


def parse_list(name, texts):
    """Returns the values of a flag of run_classifier.py.

    Numbers, switches and choices never hold a comma: one parts them. Of text (labels, schedules,
    paths) it is a part, so that each value is a flag of its own.

    Args:
      name: of the flag.
      texts: what the command line has, one for each time that the flag is given.

    Raises:
      UserError: a value is none of the flag's kind, or there twice.
    """
    field = _CLASSIFIER[name]
    if field.metadata["each"].kind is not str or field.metadata["choices"]:
        texts = [part.strip() for text in texts for part in text.split(",")]
    values = [parse_value(ClassifierOptions, name, text) for text in texts]
    return _each_once(values, f"--{name}={','.join(texts)}")


def parse_variant(text):
    """Returns (name, {flag: texts}) of text such as `frozen: --freeze_layers=4 --xla`.

    Raises:
      UserError: it has no name, or a word that is no flag of run_classifier.py.
    """
    name, _, rest = text.partition(":")
    name, flag = name.strip(), f"--variant={text}"
    refuse_if(
        not re.fullmatch(r"\w[\w.,+ -]*", name),
        f"{flag}: expected a name, a colon and flags of run_classifier.py",
    )
    try:
        words = shlex.split(rest)
    except ValueError as e:
        raise UserError(f"{flag}: {e}") from e
    lists = {}
    for word in words:
        found = re.fullmatch(r"--(\w+)(?:=(.*))?", word, re.DOTALL)
        known = found and _CLASSIFIER.get(found[1])
        value = found and found[2]
        if known and value is None and known.metadata["each"].kind is bool:
            value = "true"
        if not known or value is None:
            raise UserError(f"{flag}: {word}: expected --flag=value of run_classifier.py")
        lists.setdefault(found[1], []).append(value)
    return name, {key: tuple(texts) for key, texts in lists.items()}


def parse_names(text, flag):
    """Returns the names of flags in `text`.

    Raises:
      UserError: one of them can be none, or is there twice.
    """
    names = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\w+", name) for name in names):
        raise UserError(f"--{flag}={text}: expected names of flags such as learning_rate")
    return _each_once(names, f"--{flag}={text}")


def check_variants(texts, flag="variant"):
    """Raises `UserError` unless all of `texts` are variants, each with a name of its own."""
    _each_once([parse_variant(text)[0] for text in texts], f"--{flag}")


def check_folders(texts, flag="data_dir"):
    """Raises `UserError` for a folder that is not there or given twice."""
    for text in texts:
        known = bool(text) and pathlib.Path(text).is_dir()
        refuse_if(not known, f"--{flag}={text}: no such folder, expected one with the tasks' files")
    _each_once(list(texts), f"--{flag}")


def _each_once(values, flag):
    twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
    refuse_if(twice is not None, f"{flag}: {twice} is there twice: give each value once")
    return values


@dataclasses.dataclass(kw_only=True)
class SweepFlags:
    """The flags that a sweep has of its own."""

    GROUPS: typing.ClassVar = (SWEEP, RUNS)

    given: frozenset = frozenset()

    tasks: str | None = option(
        None,
        "Tasks to run, comma separated, by the names of --task_name of run_classifier.py. Default:"
        " that of the preset, else the model's.",
        SWEEP,
        valid=parse_tasks,
    )
    data_dir: tuple = list_option(
        "Folder with a folder for each task, of its name: glue_data/CoLA, glue_data/SST-2. Of one"
        " task its own will do.",
        SWEEP,
        valid=check_folders,
    )
    seeds: str = option("42", "Seeds to run each setting with.", SWEEP, valid=parse_seeds)
    variant: tuple = list_option(
        "Flags that go together, with a name: 'frozen: --freeze_layers=4 --activation_cache=auto'."
        " Give several, --variant=dense for one without flags.",
        SWEEP,
        valid=check_variants,
    )
    preset: str | None = option(
        None,
        "glue: RTE, STS-B, WNLI, SST-2, MRPC, QNLI, QQP and MNLI at the rates 5e-5, 4e-5, 3e-5 and"
        " 2e-5, 3 epochs, batches of 32, 128 tokens. Flags that are given go before.",
        SWEEP,
        tuple(PRESETS),
    )
    output_dir: str | None = option(
        None,
        "Folder of the sweep. The same command again goes on with what is there.",
        RUNS,
        required="the folder of the sweep",
    )
    parallel: int = option(
        1,
        "Runs at once, each on cores of its own, in as many threads.",
        RUNS,
        valid=at_least(1),
    )
    devices: str | None = option(
        None,
        "GPUs that the runs take in turn, one each. Default: with --parallel those of"
        " CUDA_VISIBLE_DEVICES, if it is set.",
        RUNS,
        valid=parse_devices,
    )
    keep_checkpoints: bool = option(
        True, "false keeps of each run what was measured, its log and its curves.", RUNS
    )
    plot: str | None = option(
        None,
        "Flags with several values, comma separated, to draw the metric against: plot_FLAG.png.",
        RUNS,
        valid=parse_names,
    )
    dry_run: bool = option(False, "Print the commands of all runs, and run none.", RUNS)

    @property
    def chosen_tasks(self):
        """Names of the tasks; [None] leaves it to the model or the data."""
        if self.tasks is not None:
            return parse_tasks(self.tasks)
        return list(GLUE) if self.preset == "glue" else [None]

    @property
    def chosen_seeds(self):
        """The seeds (list of int)."""
        return parse_seeds(self.seeds)

    @property
    def lists(self):
        """{flag: texts} of the flags of run_classifier.py that all runs have, the preset's too."""
        given = {name: x for name in _CLASSIFIER if (x := getattr(self, name, ()))}
        return {**PRESETS.get(self.preset, {}), **given}

    @property
    def variants(self):
        """[(name, {flag: texts})] of the variants; [(None, {})] without."""
        return [parse_variant(text) for text in self.variant] or [(None, {})]

    @property
    def plotted(self):
        """Names of the flags to draw the metric against."""
        return parse_names(self.plot, "plot") if self.plot else []

    def check(self):
        """Raises `UserError` for flags that are missing, out of range or at odds."""
        check_table(self, {field.name for field in option_fields(SweepFlags)})
        for name, lists in self.variants:
            both = self.given & lists.keys()
            refuse_if(
                bool(both),
                f"--variant={name}: --{min(both, default='')} is given for all runs, too: give it"
                " in one of the two places",
            )


SweepOptions = dataclasses.make_dataclass(
    "SweepOptions",
    [(name, tuple, field) for name, field in _CLASSIFIER.items()],
    bases=(SweepFlags,),
    namespace={
        "__doc__": "Options of run_sweep.py.",
        "__module__": __name__,
        "GROUPS": (*SweepFlags.GROUPS, *ClassifierOptions.GROUPS),
    },
    kw_only=True,
)
