"""Locks on files: one holder at a time, whatever becomes of the one before."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest
from absl import logging

from bert_tf import locks
from tests import tiny


def test_one_holder_at_a_time_and_no_file_is_left(tmp_path):
    path = tmp_path / "lock"
    with locks.hold(path) as first, locks.hold(path) as second:
        assert (first, second) == (True, False)
    assert list(tmp_path.iterdir()) == []
    with locks.hold(path) as again:
        assert again


def test_an_error_inside_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locks.hold(tmp_path / "lock"):
        raise ZeroDivisionError
    with locks.hold(tmp_path / "lock") as held:
        assert held


def test_a_killed_process_holds_nothing(tmp_path):
    path = tmp_path / "lock"
    program = (
        "import sys; from bert_tf import locks; d = locks.lock_file(sys.argv[1]);"
        " print(d, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=tiny.environment(),
    )  # fmt: skip
    try:
        assert int(process.stdout.readline()) > 0
        with locks.hold(path) as held:
            assert not held
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert path.exists()
    with locks.hold(path) as held:
        assert held


def test_whoever_waits_never_holds_a_file_that_was_removed(tmp_path):
    path, inside, most = tmp_path / "lock", [0], [0]

    def work():
        for _ in range(100):
            with locks.hold(path, wait=True) as held:
                assert held
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside, list(tmp_path.iterdir())) == ([1], [0], [])


def test_a_file_that_was_removed_does_not_let_a_third_in(tmp_path):
    path = tmp_path / "lock"
    with locks.hold(path):
        path.unlink()  # by somebody who took it for a leftover
        second = locks.lock_file(path)
    assert second is not None
    with locks.hold(path) as held:
        assert not held
    os.close(second)


def test_without_locks_it_goes_on_with_a_warning(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    warnings = []
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(logging, "warning", lambda message, *args: warnings.append(message % args))
    with locks.hold(tmp_path / "lock") as held:
        assert held
    assert len(warnings) == 1 and "nothing keeps a second process out" in warnings[0]
