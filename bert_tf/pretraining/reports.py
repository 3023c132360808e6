"""What a pre-training run tells beside its losses: how fast it is, and which rows it saw."""

import tf_keras as keras

from bert_tf.step_callback import StepCallback


def more_scalars(model, seq_length):
    """Returns the function that adds scalars to those of a step, for `TrainSummaries`.

    They are `tokens_per_second`, and under float16 the `loss_scale`.

    Args:
      model: compiled `MaskedLanguageModel`.
      seq_length: tokens per row.
    """

    def scalars(values):
        found = {"tokens_per_second": values["examples_per_second"] * seq_length}
        if isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer):
            found["loss_scale"] = float(model.optimizer.loss_scale)
        return found

    return scalars


class DataOrderLog(StepCallback):
    """Appends to a file, for each update: its number from 1, its first row of the stream, its rows.

    The stream's order is a pure function of the seed, so these two numbers say which rows they
    were. What a killed run did after its last checkpoint is in the file twice.

    Args:
      path: tab-separated file.
      batches: `GrowingBatches`.
    """

    def __init__(self, path, batches):
        super().__init__()
        self._path = path
        self._batches = batches

    def on_steps(self, before, logs):
        with open(self._path, "a", encoding="utf-8") as f:
            for update in range(before, self.step):
                row, count = self._batches.stages.batch(update)
                f.write(f"{update + 1}\t{row}\t{count}\n")
