"""What a killed run needs to go on: weights, optimizer, step, best-so-far, time spent."""

import pathlib
import re
import shutil
import time

import tensorflow as tf

from bert_tf import files
from bert_tf.errors import UserError

STATE_FILE = "training_state.json"
# Of the file's form and of what the identity's keys mean; 0 is a file without this number.
VERSION = 1

# The files of `checkpoints/state-<step>`, TensorFlow's temporary ones included; no user's copies.
_STATE = re.compile(r"state-(\d+)(?:$|[._])")


class RunState:
    """The resumable state of a run in `output_dir`.

    The tensors go to `checkpoints/state-<step>` (a `tf.train.Checkpoint`), everything else to
    `training_state.json`, whose renaming into place is the moment the new state counts: a kill
    before it leaves the previous state whole.

    Args:
      output_dir: folder of the run.
      model: compiled `SequenceClassifier`.
      identity: JSON-able dict of what must not change within a run (data, batch size, seed, ...).
      write: False on the workers of a cluster that only read.
      levers: the run's, whose states are part of it.
      keep: how many states to keep, the newest ones; all but the newest are for the user alone.
      data: {name: digest} of what the run reads besides; it must not change either, where the run
        in output_dir has recorded it (a version before this, or one without evaluation, has not).
      defaults: {key: value} of those keys of the identity that a run of a version before them had
        at this value; a key without one was not recorded, and may be any. A key of the run's that
        `identity` lacks is one that has gone since, and says nothing.

    Attributes:
      step: optimizer updates done.
      info: JSON-able dict that callbacks keep their own state in (best metric, evaluations, ...).
    """

    def __init__(
        self,
        output_dir,
        model,
        identity,
        write=True,
        levers=(),
        keep=1,
        data=None,
        defaults=None,
    ):
        self.output_dir = pathlib.Path(output_dir)
        self.model = model
        self.identity = identity
        self.write = write
        self.levers = tuple(levers)
        self.keep = keep
        self.data = dict(data or {})
        self.defaults = defaults or {}
        self.step = 0
        self.info = {}
        self._spent = 0.0
        self._started = time.monotonic()

    @property
    def path(self):
        """The file that makes a state count."""
        return self.output_dir / STATE_FILE

    @property
    def seconds(self):
        """Wall time of the run so far, in seconds, earlier sessions included."""
        return self._spent + time.monotonic() - self._started

    def restore(self):
        """Loads the newest state of `output_dir`; returns its step, 0 when there is none.

        Raises:
          UserError: the run there is another one (a flag or the data changed), or its files are
            damaged.
        """
        saved = self.require_same_run()
        if saved is None:
            return 0
        checkpoint = saved["checkpoint"]
        self.step, self.info, self._spent = saved["step"], saved["info"], saved["seconds"]
        prefix = str(self.output_dir / checkpoint)
        former = "version" not in saved
        states = self.info if former else saved["levers"]
        for lever in self.levers:  # first: what is frozen has no slots
            lever.restore(states.get(lever.name, {}))
        self.model.create_slots()
        try:
            for checkpoint in self._former_parts() if former else [self._checkpoint()]:
                # Each of the former parts leaves what is the others'.
                checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
        except (tf.errors.OpError, AssertionError, LookupError, RuntimeError, ValueError) as e:
            reason = str(e).strip().partition("\n")[0]
            raise UserError(
                f"{prefix}: cannot restore the training state ({reason}): bring its files back, or"
                " give another --output_dir"
            ) from e
        return self.step

    def require_same_run(self):
        """Returns the content of `output_dir`'s training state, None where there is none.

        Raises:
          UserError: the run there is another one, or the file is damaged.
        """
        path = self.path
        if not path.exists():
            return None
        saved = files.read_json(path, "training state")
        _require_known_version(path, saved)
        for key in ("identity", "checkpoint", "step", "info", "seconds"):
            if key not in saved:
                raise UserError(f"{path}: key {key!r} is missing; expected a training state")
        self._require_same_identity(path, saved["identity"])
        self._require_same_data(path, saved.get("data", {}))
        return saved

    def save(self, step):
        """Writes the state after `step` updates, then deletes those before it that are not kept.

        Raises:
          UserError: the disk is full or not writable, or a variable is not finite; the previous
            state stays in force.
        """
        self._require_finite(step)
        self.step = step
        if not self.write:
            return
        name = f"checkpoints/state-{step}"
        prefix = self.output_dir / name
        try:
            self._checkpoint().write(str(prefix))
        except (tf.errors.OpError, OSError) as e:
            self._delete_all_but(self._newest())
            raise UserError(
                f"{prefix}: cannot write the checkpoint of step {step} (disk full?):"
                f" {getattr(e, 'message', e)}; the one before it is intact"
            ) from e
        files.write_json(
            self.path,
            {
                "checkpoint": name,
                "data": self.data,
                "identity": self.identity,
                "info": self.info,
                "levers": {lever.name: lever.state() for lever in self.levers},
                "seconds": self.seconds,
                "step": step,
                "version": VERSION,
            },
        )
        self._delete_all_but(name)

    def _require_same_identity(self, path, recorded):
        for key, value in self.identity.items():
            found = recorded.get(key, self.defaults.get(key, value))
            if found != value:
                raise UserError(
                    f"{path}: the run in this folder has {key}={found!r}, this command"
                    f" {value!r}; give the same flags to go on with it, or another --output_dir"
                )

    def _require_same_data(self, path, recorded):
        for name, digest in self.data.items():
            if recorded.get(name, digest) != digest:
                raise UserError(
                    f"{path}: the run in this folder had other {name} (digest"
                    f" {recorded[name]}, now {digest}): give the same data to go on with it, or"
                    " another --output_dir"
                )
        self.data = {**recorded, **self.data}

    def _checkpoint(self):
        parts = {"model": self.model, "optimizer": self.model.optimizer}
        found = {x.name: tensors for x in self.levers if (tensors := x.trackable()) is not None}
        levers = {"levers": tf.train.Checkpoint(**found)} if found else {}
        return tf.train.Checkpoint(**parts, **levers)

    def _former_parts(self):
        """The checkpoints, to be read one by one, of a state that an earlier version has saved."""
        yield tf.train.Checkpoint(model=self.model, optimizer=self.model.optimizer)
        for lever in self.levers:
            tensors = lever.trackable()
            for name in reversed(lever.former_part if tensors is not None else ()):
                tensors = tf.train.Checkpoint(**{name: tensors})
            if tensors is not None:
                yield tensors

    def _newest(self):
        path = self.path
        return files.read_json(path, "training state")["checkpoint"] if path.exists() else None

    def _require_finite(self, step):
        """Everything that a resumed run would go on with: weights, slots, gates, multipliers."""
        checkpoint = self._checkpoint()  # the view does not keep it alive
        for variable in tf.train.TrackableView(checkpoint).descendants():
            if not isinstance(variable, tf.Variable) or not variable.dtype.is_floating:
                continue
            if not bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(variable)))):
                before = f"the state of step {self.step}" if self.step else "what was there before"
                raise UserError(
                    f"step {step}: variable {variable.name} is not finite: lower --learning_rate,"
                    f" or change --precision; {before} is intact"
                )

    def _delete_all_but(self, newest):
        """Deletes all states but `newest` (None: no exception) and those kept before it."""
        paths = (self.output_dir / "checkpoints").glob("state-*")
        steps = {path: int(found[1]) for path in paths if (found := _STATE.match(path.name))}
        kept = set()
        if newest is not None:
            last = int(_STATE.match(pathlib.Path(newest).name)[1])
            earlier = {step for step in steps.values() if step < last}
            kept = {last, *sorted(earlier, reverse=True)[: self.keep - 1]}
        for path, step in steps.items():
            if step not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _require_known_version(path, saved):
    version = saved.get("version", 0)
    if not isinstance(version, int) or version > VERSION:
        raise UserError(
            f"{path}: training state of version {version!r}, expected {VERSION} at most: go on with"
            " the bert-tf that wrote it, or give another --output_dir"
        )
