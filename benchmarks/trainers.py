"""Processes that each hold one variant of a training, and train when they are told to."""

import statistics

import numpy as np

from benchmarks.worker import Worker

# Largest difference of logits of the order of 1 to the first variant's.
_TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
_MIN_STEPS = 4


class TrainerWorker(Worker):
    """A variant's process, seen from the parent.

    Args:
      name: what its errors begin with.
      make: class of the trainer, made in the process as make(setup, variant); its `logits()`
        returns an array before training, `run(...)` a dict of what a turn took.
      setup: what all variants share.
      variant: has a `precision`.

    Attributes:
      variant: the variant.
      logits: float32 array before training.
    """

    def __init__(self, name, make, setup, variant):
        super().__init__(name, _serve, make, setup, variant)
        self.variant = variant
        self.logits = self.receive()

    def run(self, **arguments):
        """Lets the trainer run; returns what its `run` does."""
        return self.ask(arguments)

    def stop(self):
        """Ends the process."""
        self.ask(None)
        self.join()


def check_same_model(workers):
    """Returns the largest difference of logits to the first worker's.

    Raises:
      RuntimeError: it is too large for the precision: not the same model.
    """
    largest = 0.0
    for worker in workers:
        difference = float(np.abs(worker.logits - workers[0].logits).max())
        limit = max(_TOLERANCE[w.variant.precision] for w in (worker, workers[0]))
        if not difference <= limit:
            raise RuntimeError(
                f"{worker.name}: logits differ by {difference:.2g} from those of"
                f" {workers[0].name}, expected {limit} at most"
            )
        largest = max(largest, difference)
    return largest


def measure(workers, rounds, seconds, unit, arguments=lambda *turn: {}):
    """Lets the workers train in turns; warm-up and calibration come before and are not in.

    Args:
      workers: list of `TrainerWorker`; they are stopped at the end.
      rounds: in each of which every worker has one turn.
      seconds: length of a turn, of as many steps as fit at the worker's own speed, at least 4.
      unit: what is counted: key of what `run` returns.
      arguments: what `run` gets besides `steps`: function of (0,) warm-up, (1,) calibration,
        (2, round).

    Returns:
      {name: [what each round took, with `{unit}_per_second`]}.
    """
    steps = {}
    for worker in workers:
        worker.run(steps=2, **arguments(0))
        trial = worker.run(steps=_MIN_STEPS, **arguments(1))
        steps[worker] = max(_MIN_STEPS, round(seconds * _MIN_STEPS / trial["seconds"]))
    taken = {worker.name: [] for worker in workers}
    for number in range(rounds):
        for worker in workers:
            turn = worker.run(steps=steps[worker], **arguments(2, number))
            turn[f"{unit}_per_second"] = turn[unit] / turn["seconds"]
            taken[worker.name].append(turn)
    for worker in workers:
        worker.stop()
    return taken


def ratio(rounds, name, base, unit):
    """(median, least, largest) over the rounds of how much faster `name` is than `base`."""
    key = f"{unit}_per_second"
    ratios = [a[key] / b[key] for a, b in zip(rounds[name], rounds[base], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def _serve(connection, make, setup, variant):
    """Process entry: sends the logits, then runs as it is asked until asked for None.

    Ends quietly when the parent is gone; an exception is an answer, too.
    """
    try:
        trainer = make(setup, variant)
        connection.send(trainer.logits())
        while (arguments := connection.recv()) is not None:
            connection.send(trainer.run(**arguments))
        connection.send(None)
    except (EOFError, BrokenPipeError):
        return
    except Exception as e:
        connection.send(e)
        raise
