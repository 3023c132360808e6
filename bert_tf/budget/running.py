"""The clock runs while the training does, and SIGTERM ends it in good order."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def running(rhythm):
    """Context: SIGTERM lets the rhythm save and leave after this update; closes the clock."""
    try:
        with _terminated_by_signal(rhythm):
            yield
    finally:
        rhythm.clock.close()


@contextlib.contextmanager
def _terminated_by_signal(rhythm):
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers belong to the main thread
        return

    def terminate(*_):
        rhythm.terminate = True

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
