"""A process that works when it is told to, seen from its parent."""

import multiprocessing
import os
import signal
import time

from bert_tf.errors import UserError

_SPAWN = multiprocessing.get_context("spawn")  # a fork of a process with TensorFlow hangs


class Worker:
    """A process, ended with its parent, that answers messages.

    Args:
      name: what its errors begin with.
      serve: its entry, callable (connection, *arguments); an exception that it sends is raised
        here.
      *arguments: of `serve`.
    """

    def __init__(self, name, serve, *arguments):
        self.name = name
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, message):
        """Sends a message and returns the answer, see `receive`."""
        self._connection.send(message)
        return self.receive()

    def receive(self):
        """Returns what the process sends next.

        Raises:
          UserError: the process met one.
          RuntimeError: it sent another exception, or died.
        """
        try:
            answer = self._connection.recv()
        except EOFError as e:
            raise RuntimeError(f"{self.name}: its process died") from e
        if isinstance(answer, UserError):
            raise UserError(f"{self.name}: {answer}") from answer
        if isinstance(answer, Exception):
            raise RuntimeError(f"{self.name}: {answer!r}") from answer
        return answer

    def join(self):
        """Waits for the end of the process, which must be at it."""
        self._process.join()


class PausableWorker(Worker):
    """A worker that runs in turns with others: between its turns it stands still.

    `serve` is called with (connection, stopped, *arguments), where `stopped.value` is the seconds
    that the process was stopped so far, for a clock that leaves them out.

    Attributes:
      running: seconds of its turns, so far.
    """

    def __init__(self, name, serve, *arguments):
        self._stopped = _SPAWN.Value("d", 0.0, lock=False)
        self._paused = None  # since when
        self.running = 0.0
        super().__init__(name, serve, self._stopped, *arguments)

    def pause(self):
        """Stops the process where it is."""
        os.kill(self._process.pid, signal.SIGSTOP)
        self._paused = time.monotonic()

    def turn(self, seconds):
        """Lets a paused process run; returns whether it sent something, else it is paused again."""
        started = time.monotonic()
        self._stopped.value += started - self._paused  # before the process can look at it
        os.kill(self._process.pid, signal.SIGCONT)
        sent = self._connection.poll(seconds)
        if not sent:
            self.pause()
        self.running += time.monotonic() - started
        return sent

    def tell(self, message):
        """Sends a message that has no answer yet."""
        self._connection.send(message)

    def kill(self):
        """Ends the process, paused or not."""
        self._process.kill()
        self._process.join()
