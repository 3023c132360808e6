"""A sweep from its plan to its table: what is not done is run, what fails is listed."""

import contextlib
import pathlib
import shlex
import statistics
import sys

from bert_tf import files, folders, locks
from bert_tf.data.table import counted
from bert_tf.errors import UserError
from bert_tf.sweep import outcomes as outcomes_lib
from bert_tf.sweep import runner
from bert_tf.sweep.hparams import HPARAMS_DIR, write_hparams
from bert_tf.sweep.plan import RUNS_DIR, make_plan, shown
from bert_tf.sweep.plots import plot_path, write_plot
from bert_tf.sweep.table import Table


def run(options):
    """Runs what is not done of a sweep and writes its table after each run.

    Args:
      options: `SweepOptions`.

    Returns:
      Exit status: 1 if a run failed, else 0.

    Raises:
      UserError: bad input, before anything runs; another sweep is at work in output_dir.
    """
    options.check()
    runs = make_plan(options)
    if options.dry_run:
        for planned in runs:
            print(shlex.join([sys.executable, str(runner.PROGRAM), *planned.command()]))
        return 0
    devices = None if options.devices is None else options.devices.split(",")
    slots = runner.make_slots(options.parallel, devices)
    output_dir = files.make_output_dir(options.output_dir)
    with locks.hold(output_dir / ".lock") as free:
        if not free:
            raise UserError(
                f"--output_dir={output_dir}: another sweep is at work there: wait for its end, or"
                " give another folder"
            )
        return _Sweep(options, runs, output_dir).run(slots)


class _Sweep:
    """A sweep at work.

    Args:
      options: `SweepOptions`.
      runs: its plan.
      output_dir: its folder (`pathlib.Path`).
    """

    def __init__(self, options, runs, output_dir):
        self.options, self.runs, self.output_dir = options, runs, output_dir
        self.command = shlex.join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])
        self.errors, self.outcomes = {}, {}
        for planned in runs:
            self._take(planned)
        self.pace = Pace(self.outcomes.values(), options.parallel)

    def run(self, slots):
        """Runs what is not done; returns the exit status."""
        waiting = [planned for planned in self.runs if planned.folder not in self.outcomes]
        print(self._beginning(len(waiting)), flush=True)
        self._write()
        with contextlib.closing(runner.execute(waiting, slots)) as ended:
            for count, (planned, seconds, error) in enumerate(ended, start=1):
                self._ended(planned, error)
                self._write()
                self.pace.took(planned, seconds)
                place = len(self.runs) - len(waiting) + count
                print(self._line(place, planned, seconds, waiting[count:]), flush=True)
        return self._finish()

    def _ended(self, planned, error):
        """Takes over a run that has ended; what it measured counts, however it ended then."""
        try:
            if self._take(planned):
                return
        except UserError as e:
            error = error or str(e)
        self.errors[planned.folder] = (
            error or f"{outcomes_lib.RESULTS_FILE} has no metrics of dev rows"
        )

    def _take(self, planned):
        """Takes over what a run has measured; returns whether it is done."""
        outcome = outcomes_lib.read_outcome(planned)
        if outcome is None:
            return False
        self.outcomes[planned.folder] = outcome
        if not self.options.keep_checkpoints:
            outcomes_lib.keep_numbers(planned.folder)
        return True

    def _beginning(self, waiting):
        settings = {flag: {} for planned in self.runs for flag in planned.setting}
        for planned in self.runs:
            for flag, value in planned.setting.items():
                settings[flag][shown(value)] = None
        lists = [f"{flag}={','.join(values)}" for flag, values in settings.items()]
        done = len(self.runs) - waiting
        found = {path for path in (self.output_dir / RUNS_DIR).glob("*/*") if path.is_dir()}
        others = len(found - {planned.folder for planned in self.runs})
        return "\n".join(
            [
                f"{counted(len(self.runs), 'run', 'runs')}: "
                + ", ".join([f"tasks={','.join(self._tasks())}", *lists, f"seeds={self._seeds()}"])
                + (f"; {done} done before" if done else ""),
                *([f"{others} more folders of runs are of other flags or files"] if others else []),
            ]
        )

    def _tasks(self):
        return dict.fromkeys(planned.task or "that of the model" for planned in self.runs)

    def _seeds(self):
        return ",".join(dict.fromkeys(str(planned.seed) for planned in self.runs))

    def _line(self, place, planned, seconds, waiting):
        outcome = self.outcomes.get(planned.folder)
        said = f"{outcome.metric} {outcome.value:.4f}" if outcome else self._failure(planned)
        left = self.pace.left(waiting)
        end = f"; about {left} left" if left else ""
        return f"[{place}/{len(self.runs)}] {planned.name}: {said} ({duration(seconds)}){end}"

    def _failure(self, planned):
        return f"failed: {self.errors[planned.folder]}"

    def _table(self):
        return Table(self.runs, self.outcomes, self.errors)

    def _write(self):
        self._table().write(self.output_dir, self.command)

    def _finish(self):
        table = self._table()
        folders.tidy(self.output_dir / HPARAMS_DIR)
        write_hparams(table, self.output_dir)
        for flag in self.options.plotted:
            write_plot(table, flag, plot_path(self.output_dir, flag))
        print("\n" + table.markdown(self.command).partition("```\n\n")[2])
        print(f"{self.output_dir / 'results.md'}, .json, .csv; tensorboard --logdir="
              f"{self.output_dir / HPARAMS_DIR}")  # fmt: skip
        if self.errors:
            print(
                f"error: {len(self.errors)} of {len(self.runs)} runs failed: the same command tries"
                " them again",
                file=sys.stderr,
            )
        return int(bool(self.errors))


class Pace:
    """How long the rest takes, by what the runs of each task took.

    Args:
      outcomes: `Outcome`s of earlier sessions.
      parallel: runs at once.
    """

    def __init__(self, outcomes, parallel):
        self._parallel = parallel
        self._before, self._seconds = {}, {}
        for outcome in outcomes:
            self._before.setdefault(outcome.run.task, []).append(outcome.seconds)

    def took(self, planned, seconds):
        """A run has ended after `seconds`."""
        self._seconds.setdefault(planned.task, []).append(seconds)

    def left(self, runs):
        """Returns how long `runs` will take, as text; "" without any."""
        seconds = {**self._before, **self._seconds}
        every = statistics.mean(x for found in seconds.values() for x in found)
        means = {task: statistics.mean(found) for task, found in seconds.items()}
        total = sum(means.get(planned.task, every) for planned in runs)
        return duration(total / self._parallel) if runs else ""


def duration(seconds):
    """Returns text such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
