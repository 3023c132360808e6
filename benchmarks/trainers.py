"""Processes that each hold one variant of a training, and train when they are told to."""

import numpy as np

from benchmarks.worker import Worker

# Largest difference of logits of the order of 1 to the first variant's.
_TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


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
