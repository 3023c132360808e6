"""TensorBoard: training scalars in the run's folder, evaluation scalars in its `eval` folder."""

import pathlib

import tensorflow as tf
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import api as hp
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary

from bert_tf.training.progress import Reporter

_SESSION_START = "_hparams_/session_start_info"


class Summaries:
    """Writes a run's events; a folder that has some already, from a run resumed, gets more.

    What describes the run as a whole (text, hyper-parameters) is written once: a resumed run
    finds it there and leaves it.

    Args:
      output_dir: the run's folder; made when something is first written.
    """

    def __init__(self, output_dir):
        self._dirs = {"train": pathlib.Path(output_dir), "eval": pathlib.Path(output_dir) / "eval"}
        self._writers = {}

    def train_scalars(self, step, values):
        """Writes {name: float} of training at `step`."""
        self._scalars("train", step, values)

    def eval_scalars(self, step, values):
        """Writes {name: float} of an evaluation of the weights at `step`, and flushes."""
        self._scalars("eval", step, values)
        self.flush()

    def histograms(self, step, values):
        """Writes {name: numbers of any shape} of training at `step`, as distributions."""
        with self._writer("train").as_default(step=step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    def image(self, step, name, pixels):
        """Writes a picture, uint8 [height, width, 3], of training at `step`."""
        with self._writer("train").as_default(step=step):
            tf.summary.image(name, pixels[None])

    def text(self, name, rows):
        """Writes a table once, at step 0.

        Args:
          name: the tag, "Hyperparameters".
          rows: dict, or pairs, of a name and a value.
        """
        if name in self._tags():
            return
        cells = [("name", "value"), ("---", "---"), *dict(rows).items()]
        lines = ["| {} | {} |".format(*(str(x).replace("|", "\\|") for x in row)) for row in cells]
        with self._writer("train").as_default(step=0):
            tf.summary.text(name, "\n".join(lines))
        self.flush()

    def hparams(self, values, metrics=None, step=0):
        """Writes the run's hyper-parameters and outcome, once, for TensorBoard's HPARAMS tab.

        Args:
          values: dict; what is not a bool, number or string is written as text.
          metrics: {name: float} of the final weights; shown with the run as `final/<name>`.
          step: the final step.
        """
        if _SESSION_START in self._tags():
            return
        plain = {k: v if isinstance(v, bool | int | float) else str(v) for k, v in values.items()}
        with self._writer("train").as_default(step=step):
            hp.hparams(plain, trial_id=str(self._dirs["train"].resolve()))
            for name, value in (metrics or {}).items():
                tf.summary.scalar(f"final/{name}", value)
            end = hparams_summary.session_end_pb(api_pb2.STATUS_SUCCESS)
            tf.summary.experimental.write_raw_pb(end.SerializeToString())
        self.flush()

    def flush(self):
        """Writes out everything held back."""
        for writer in self._writers.values():
            writer.flush()

    def close(self):
        """Flushes and closes the files; writing again opens new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _scalars(self, which, step, values):
        with self._writer(which).as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def _writer(self, which):
        if which not in self._writers:
            # Shown within seconds by a TensorBoard that is open; the default is two minutes.
            self._writers[which] = tf.summary.create_file_writer(
                str(self._dirs[which]), flush_millis=10_000
            )
        return self._writers[which]

    def _tags(self):
        """The tags that are in the run's folder, whoever wrote them."""
        self.flush()
        tags = set()
        for path in sorted(self._dirs["train"].glob("events.out.tfevents.*")):
            try:
                for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                    summary = event_pb2.Event.FromString(record).summary
                    tags.update(value.tag for value in summary.value)
            except tf.errors.DataLossError:
                continue  # a killed run leaves half an event at the end of its file
        return tags


class TrainSummaries(Reporter):
    """Keras callback: every `every_n_steps` steps, and at the end, the training scalars.

    They are `loss` (mean since the last ones), `model_lr`, `examples_per_second`, and every other
    log of the step under its own name (`grad_norm`).

    Args:
      summaries: `Summaries`.
      examples, initial_step, clock: see `Reporter`.
      every_n_steps: the rhythm.
      more: callable ({name: float} of the scalars) -> more of them; None for none.
    """

    def __init__(self, summaries, examples, initial_step=0, every_n_steps=10, more=None, **kwargs):
        super().__init__(examples, initial_step, **kwargs)
        self.summaries = summaries
        self._more = more
        self.every_n_steps = every_n_steps

    def on_steps(self, before, logs):
        super().on_steps(before, logs)
        if self.step // self.every_n_steps > self._marked_step // self.every_n_steps:
            self._write()

    def on_train_end(self, logs=None):
        self._write()
        self.summaries.flush()

    def _write(self):
        values = self.report()
        if values:
            values["model_lr"] = values.pop("learning_rate")
            values |= self._more(values) if self._more else {}
            self.summaries.train_scalars(self.step, values)
