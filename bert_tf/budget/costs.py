"""What things take: measured, so that what is still to come can be reserved."""

import collections

_RECENT = 8  # updates that the next one is expected to be like
_KNOWN = 3  # works of a kind, after which the longest of the last ones is what the next one takes
_SLACK = 1.2  # a disk or a neighbour may be slower the last time
_LEAVING = 0.8  # seconds for the last small files and the end of the process, 0.2 to 0.5 measured


class Costs:
    """Seconds that updates, evaluations and saves took, and are expected to take.

    The next update is expected to take as long as the longest of the last 8; the first one of a
    process, which compiles, as the first one of the process before, which is not known at first.
    The second one is expected to be like those of the process before, or if there was none, like
    the first.

    Args:
      saved: what `state` of an earlier process returned; None begins anew.
    """

    def __init__(self, saved=None):
        saved = saved or {}
        self._first_update = saved.get("first_update", 0.0)
        self._before = saved.get("update")
        self._updates = collections.deque(maxlen=_RECENT)
        self._count = 0
        self._works = {
            name: collections.deque([seconds], maxlen=_KNOWN)
            for name, seconds in saved.get("works", {}).items()
        }

    def updated(self, seconds):
        """An update took `seconds`."""
        self._count += 1
        if self._count == 1:
            self._first_update = seconds
        else:
            self._updates.append(seconds)

    def took(self, work, seconds):
        """The `work` ("evaluate", "save", "marker") took `seconds`."""
        self._works.setdefault(work, collections.deque(maxlen=_KNOWN)).append(seconds)

    def retraced(self):
        """The next update compiles again: it is expected to be like the first."""
        self._updates.clear()
        self._count, self._before = 0, None

    @property
    def update(self):
        """Seconds expected of the next update."""
        if self._updates:
            return max(self._updates)
        known = self._before if self._count else None
        return self._first_update if known is None else known

    def of(self, work, slack=True):
        """Seconds expected of one `work`; 0 for one not measured.

        Args:
          work: its name.
          slack: whether one that is not known well yet may take longer than it did.
        """
        times = self._works.get(work, ())
        return max(times, default=0.0) * (_SLACK if slack and len(times) < _KNOWN else 1.0)

    def knows(self, work):
        """Whether the `work` was measured, by this process or one before it."""
        return work in self._works

    def reserve(self, works, slack=True):
        """Seconds to keep for the end: those of all `works` (names, repeats count), and leaving."""
        return _LEAVING + sum(self.of(work, slack) for work in works)

    def state(self):
        """Returns what the next process should know, JSON-able."""
        update = max(self._updates) if self._updates else self._before
        return {"first_update": self._first_update, "update": update, "works": self._longest()}

    def report(self):
        """Returns the longest of the seconds measured last by name, for results.json."""
        return {**self._longest(), "update": self.update, "first_update": self._first_update}

    def _longest(self):
        return {name: max(times) for name, times in self._works.items()}
