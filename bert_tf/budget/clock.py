"""A clock of what a run has spent, over all the processes that it took."""

import contextlib
import os
import pathlib
import threading
import time

from bert_tf import files
from bert_tf.errors import UserError

CLOCK_FILE = "clock.json"
COUNTS = ("wall", "train")


def process_seconds():
    """Returns the age of this process in seconds (Linux), 0 where it cannot be told.

    Interpreter and imports are part of the time that a user waits for.
    """
    try:
        stat = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8")
        uptime = float(pathlib.Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, uptime - started)


class Clock:
    """Seconds that a run has spent, in this process and in those before it.

    The spent time is stored in `clock.json`, at each checkpoint and by a heartbeat in between, so
    that work lost in a crash stays charged; the time between two processes is not. After a crash
    one heartbeat is charged on top: what ran since the last one is not known.

    Args:
      folder: where clock.json lies; None stores nothing (a worker that does not write).
      counts: "wall" counts everything the processes do from their start on; "train" only what is
        between `start` and `stop`, which leaves out evaluations and saves.
      age: seconds that this process has spent already, counted under "wall".
      heartbeat: seconds between two heartbeats.
      now: returns seconds; an attribute, too.

    Raises:
      UserError: clock.json cannot be read, or the run there counted otherwise.
    """

    def __init__(self, folder=None, counts="wall", age=0.0, heartbeat=1.0, now=time.monotonic):
        self.counts = counts
        self.heartbeat = heartbeat
        self.path = None if folder is None else pathlib.Path(folder) / CLOCK_FILE
        self.now = now
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._thread = None
        self._spent = self._read()
        self._since = None  # when what runs now began; None while nothing counts
        if counts == "wall":
            self._spent += age
            self._since = now()

    @property
    def spent(self):
        """Seconds spent until now."""
        with self._lock:
            running = 0.0 if self._since is None else self.now() - self._since
            return self._spent + running

    def start(self):
        """The training begins, or goes on: from here on "train" counts."""
        with self._lock:
            if self._since is None:
                self._since = self.now()

    def stop(self):
        """The training ends or rests: "train" counts no more, "wall" does."""
        with self._lock:
            if self.counts == "train" and self._since is not None:
                self._spent, self._since = self.spent, None

    def save(self, closed=False):
        """Writes the time spent; `closed`: and nothing will be spent after it by this process."""
        if self.path is None:
            return
        with self._lock:
            value = {"closed": closed, "counts": self.counts, "spent_seconds": self.spent}
            files.write_json(self.path, value)

    def run_heartbeat(self):
        """Starts the thread that writes the time spent every `heartbeat` seconds until `close`."""
        if self.path is None:
            return
        self.save()
        self._thread = threading.Thread(target=self._beat, name="clock", daemon=True)
        self._thread.start()

    def close(self):
        """Ends the heartbeat, if it was started, and writes the final time spent."""
        self._closing.set()
        self.stop()
        if self._thread:
            self._thread.join()
            self._thread = None
            self.save(closed=True)

    def _beat(self):
        while not self._closing.wait(self.heartbeat):
            # A full disk: the training's own writes will say so; the next heartbeat may succeed.
            with contextlib.suppress(UserError):
                self.save()

    def _read(self):
        if self.path is None or not self.path.exists():
            return 0.0
        saved = files.read_json(self.path, "time spent")
        try:
            counts, spent, closed = saved["counts"], float(saved["spent_seconds"]), saved["closed"]
        except (KeyError, TypeError, ValueError) as e:
            raise UserError(f"{self.path}: expected counts, spent_seconds and closed") from e
        if counts != self.counts:
            raise UserError(
                f"{self.path}: the run in this folder has --budget_counts={counts}, this command"
                f" {self.counts}; give the same to go on with it, or another --output_dir"
            )
        return spent + (0.0 if closed else self.heartbeat)
