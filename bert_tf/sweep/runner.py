"""Runs run_classifier.py in processes of their own, several at once on cores of their own."""

import collections
import contextlib
import ctypes
import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.options import refuse_if
from bert_tf.sweep.outcomes import LOG_FILE, RESULTS_FILE
from bert_tf.sweep.plan import PlannedRun

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "run_classifier.py"
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)  # fmt: skip
_PDEATHSIG = 1  # of Linux' prctl.h
_POLL_SECONDS, _END_SECONDS = 0.1, 10.0
_LONGEST_LOG = 1 << 20


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where a run runs.

    Attributes:
      index: which of the slots.
      cores: the cores it is pinned to, None for those of this process.
      device: of CUDA_VISIBLE_DEVICES, None for those of the environment.
      shares_device: whether another slot has the same one.
    """

    index: int
    cores: tuple | None = None
    device: str | None = None
    shares_device: bool = False

    def environment(self):
        """Returns the variables (dict) of its processes."""
        changed = {}
        if self.cores is not None:
            changed |= dict.fromkeys(_THREADS, str(len(self.cores)))
        if self.device is not None:
            changed["CUDA_VISIBLE_DEVICES"] = self.device
        if self.shares_device:  # else the first one takes all of its memory
            changed["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        return {**os.environ, **changed}


def make_slots(parallel, devices=None):
    """Returns the slots (list of `Slot`) for `parallel` runs at once.

    Args:
      parallel: how many.
      devices: names of GPUs, taken in turn; None for those of CUDA_VISIBLE_DEVICES where there are
        several slots.

    Raises:
      UserError: there are fewer cores than that, and no GPUs.
    """
    cores = sorted(os.sched_getaffinity(0))
    if devices is None and parallel > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "-1").split(",")
        devices = [name.strip() for name in visible if name.strip() not in ("", "-1")]
    devices = devices or []
    refuse_if(
        parallel > len(cores) and not devices,
        f"--parallel={parallel}: expected {len(cores)} at most, the cores there are",
    )
    slots = []
    for index in range(parallel):
        own = cores[index * len(cores) // parallel : (index + 1) * len(cores) // parallel]
        slots.append(
            Slot(
                index,
                tuple(own or cores) if parallel > 1 else None,
                devices[index % len(devices)] if devices else None,
                shares_device=0 < len(devices) < parallel,
            )
        )
    return slots


@dataclasses.dataclass
class _Job:
    run: PlannedRun
    process: subprocess.Popen
    started: float
    log: pathlib.Path
    log_start: int


def execute(runs, slots):
    """Runs all of `runs`; yields (run, seconds, error) as they end, error None where all is well.

    They end with this process, however that ends, and with the generator.

    Args:
      runs: list of `PlannedRun`.
      slots: list of `Slot`; as many run at once.

    Raises:
      UserError: a folder cannot be written.
    """
    waiting, working = collections.deque(runs), {}
    try:
        while waiting or working:
            for slot in slots:
                if waiting and slot not in working:
                    working[slot] = _start(waiting.popleft(), slot)
            for slot, job in list(working.items()):
                if job.process.poll() is not None:
                    del working[slot]
                    yield job.run, time.monotonic() - job.started, _error_of(job)
            time.sleep(_POLL_SECONDS)
    finally:
        _end(working.values())


def _start(run, slot):
    folder = files.make_output_dir(run.folder)
    command = [sys.executable, str(PROGRAM), *run.command()]
    path = folder / LOG_FILE
    try:
        with open(path, "ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command,
                env=slot.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt is this process' to pass on
                preexec_fn=_preparation(slot.cores),
            )
            return _Job(run, process, time.monotonic(), path, log.tell())
    except OSError as e:
        raise UserError(f"{path}: cannot start the run: {e.strerror or e}") from e


def _preparation(cores):
    """What a new process does first: takes its cores, and asks to end with this one."""
    prctl, parent = getattr(ctypes.CDLL(None), "prctl", None), os.getpid()

    def prepare():
        if cores is not None:
            os.sched_setaffinity(0, cores)
        if prctl is not None:
            prctl(_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it has ended meanwhile
                os._exit(1)

    return prepare


def _error_of(job):
    """What a process that has ended said last if it failed, else None."""
    status = job.process.returncode
    if status == 0:
        found = (job.run.folder / RESULTS_FILE).exists()
        return None if found else f"it ended without {RESULTS_FILE}"
    with open(job.log, "rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(max(job.log_start, size - _LONGEST_LOG))
        lines = [line for line in f.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    last = (errors or lines or [f"exit status {status} without a word"])[-1].strip()
    if status < 0:
        return f"ended by {signal.Signals(-status).name}, last line: {last}"
    return last.removeprefix("error: ")


def _end(jobs):
    """Ends processes that still run; a run that was asked to saves its state."""
    for job in jobs:
        job.process.terminate()
    deadline = time.monotonic() + _END_SECONDS
    for job in jobs:
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.process.wait(max(0.0, deadline - time.monotonic()))
        job.process.kill()
        job.process.wait()
