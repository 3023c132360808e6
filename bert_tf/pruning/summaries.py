"""TensorBoard of a run that trains masks: what removing them now would leave, kernel by kernel."""

import math

from bert_tf.step_callback import StepCallback
from flop.sparsity import open_gates

# Over a run; TensorBoard shows 10 of them unless --samples_per_plugin says more.
_PICTURES = 20


class PruningSummaries(StepCallback):
    """Keras callback: the state of the masks after every `every_n_steps` steps, and at the end.

    Each time the scalar `sparsity_if_removed`, that of the compact model which the masks would give
    then, measured like `expected_sparsity` (which the step's own logs bring, with the multipliers).
    Some 20 times over the run the histograms `log_alpha/<scope>` and the image `ranks`: the rank
    and the share of its dense parameters that each kernel would keep.

    A resumed run goes on with the steps of the interrupted one.

    Args:
      summaries: `Summaries`; the one that the run's other callbacks write to, as TensorBoard may
        read only the newest of several files that grow.
      pruner: `flop.pruner.Pruner` of the model's masks.
      kernels: {scope: (d_in, d_out)} of the image, in its order; one without a mask counts as
        dense.
      progress: how far the training is, see `Run`.
      every_n_steps: the rhythm of the scalar.
    """

    def __init__(self, summaries, pruner, kernels, progress, every_n_steps=10):
        super().__init__()
        self.summaries = summaries
        self.pruner = pruner
        self.kernels = dict(kernels)
        self.every_n_steps = every_n_steps
        self._progress = progress
        self._interval = math.ceil(progress.total / _PICTURES)
        if progress.are_updates:
            self._interval = max(every_n_steps, self._interval)
        self._scalar_step = self._picture_step = self.step

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._scalar_step = self._picture_step = self.step
        self._pictured = self._progress.done(self.step)

    def on_steps(self, before, logs):
        if self.step // self.every_n_steps > self._scalar_step // self.every_n_steps:
            self._write_scalar()
        if self._progress.done(self.step) // self._interval > self._pictured // self._interval:
            self._write_pictures()

    def on_train_end(self, logs=None):
        if self.step > self._scalar_step:
            self._write_scalar()
        if self.step > self._picture_step:
            self._write_pictures()
        self.summaries.flush()

    def _write_scalar(self):
        self._scalar_step = self.step
        sparsity = self.pruner.removed_sparsity()
        self.summaries.train_scalars(self.step, {"sparsity_if_removed": sparsity})

    def _write_pictures(self):
        from flop import report  # matplotlib: 0.6 s that a run without masks need not wait for

        self._picture_step, self._pictured = self.step, self._progress.done(self.step)
        layers = self.pruner.layers
        values = {f"log_alpha/{layer.scope}": layer.mask.log_alpha for layer in layers}
        self.summaries.histograms(self.step, values)
        ranks = {layer.scope: (layer.rank, open_gates(layer)) for layer in layers}
        rows = [
            report.KernelRow.of(scope, *shape, *ranks.get(scope, (None, None)))
            for scope, shape in self.kernels.items()
        ]
        self.summaries.image(self.step, "ranks", report.ranks_image(rows))
