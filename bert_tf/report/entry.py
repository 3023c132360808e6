"""What the report knows of a run, and reading JSON that may be anything."""

import dataclasses
import os
import pathlib

FINISHED, UNFINISHED, UNREADABLE = "finished", "unfinished", "unreadable"
MISSING = "\N{EN DASH}"
"""What stands in the place of a number that is not recorded."""
_MOST = 1e15


@dataclasses.dataclass(kw_only=True)
class Entry:
    """A run, a model, a sub-network or an export. None is what is not recorded.

    Attributes:
      path: where it lies (str).
      part: what tells it from others of the same path: a sub-network's name, "" without.
      kind: `fine-tuning`, `evaluation`, `pre-training`, `sub-network`, `export` or `model`.
      status: `FINISHED`, `UNFINISHED` or `UNREADABLE`.
      note: a sentence on the status or on the value.
      levers: names of what was done to the dense model or its training, in their order.
      task, split, metric, value: what was measured on the final model.
      data: which rows the task's name does not say, see `data.of`.
      parameters, megabytes: size of the model; of its checkpoint or artefact in 10^6 bytes.
      latency_ms, latency_shape: median, and "batch x length" it is of.
      seconds: of the training, over all its sessions.
      steps, epochs, rows, seed: of the training.
      command: as it may be given again; `rebuilt` if only the flags were recorded.
      environment: {name: value} of the machine.
      model: folder of the model that it started from or measures.
    """

    path: str
    part: str = ""
    kind: str = "model"
    status: str = FINISHED
    note: str = ""
    levers: tuple = ()
    task: str | None = None
    split: str | None = None
    metric: str | None = None
    value: float | None = None
    data: str | None = None
    parameters: float | None = None
    megabytes: float | None = None
    latency_ms: float | None = None
    latency_shape: str | None = None
    seconds: float | None = None
    steps: float | None = None
    epochs: float | None = None
    rows: float | None = None
    seed: float | None = None
    command: str | None = None
    rebuilt: bool = False
    environment: dict = dataclasses.field(default_factory=dict)
    model: str | None = None

    @property
    def lever(self):
        """The levers as one text, `dense` without."""
        return " + ".join(self.levers) or "dense"

    @property
    def lower_is_better(self):
        """Whether less of the metric is better."""
        return (self.metric or "").endswith(("loss", "perplexity"))


def number(value):
    """Returns `value` if it is a number that a run may have, else None: not inf, nan or 10^15."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < _MOST else None


def text(value):
    """Returns `value` if it is a text, not empty and good for a path, else None."""
    return value if isinstance(value, str) and value and "\0" not in value else None


def mapping(value):
    """Returns `value` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def at(value, *keys):
    """Returns what lies in nested dicts under these keys, None where one is not there."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def checkpoint_megabytes(folder):
    """Returns the size of a model folder's weights, None if there are none."""
    if not folder:
        return None
    try:
        found = [*pathlib.Path(folder).glob("bert_model.ckpt.data-*")]
        return sum(os.path.getsize(path) for path in found) / 1e6 if found else None
    except OSError:
        return None
