import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import bert_tf  # noqa: F401
from bert_tf.training.summaries import Summaries, TrainSummaries


def events(folder):
    accumulator = event_accumulator.EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    return accumulator


def points(folder, tag):
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events(folder).Tensors(tag)]


def hparams_data(folder, tag):
    content = events(folder).summary_metadata[tag].plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_training_and_evaluation_have_a_folder_each(tmp_path):
    summaries = Summaries(tmp_path)
    summaries.train_scalars(10, {"loss": 0.5, "model_lr": 1e-5})
    summaries.train_scalars(20, {"loss": 0.25, "model_lr": 2e-5})
    summaries.eval_scalars(20, {"eval_accuracy": 0.75, "f1_score": 0.5, "loss": 0.3})
    summaries.close()
    assert points(tmp_path, "loss") == [(10, 0.5), (20, 0.25)]
    np.testing.assert_allclose(points(tmp_path, "model_lr"), [(10, 1e-5), (20, 2e-5)])
    assert points(tmp_path / "eval", "eval_accuracy") == [(20, 0.75)]
    np.testing.assert_allclose(points(tmp_path / "eval", "loss"), [(20, 0.3)])


def describe(folder, value):
    summaries = Summaries(folder)
    summaries.text("Hyperparameters", {"task_name": "a|b", "learning_rate": value})
    summaries.hparams({"learning_rate": value, "xla": False, "dev": None}, {"f1": 0.5}, step=30)
    summaries.close()


def test_a_run_is_described_once_even_if_it_was_killed_and_resumed(tmp_path):
    describe(tmp_path, 5e-5)
    file = next(tmp_path.glob("events*"))
    file.write_bytes(file.read_bytes() + b"half an event")
    describe(tmp_path, 7e-5)
    (text,) = events(tmp_path).Tensors("Hyperparameters")
    table = tf.make_ndarray(text.tensor_proto).item()
    assert text.step == 0
    assert table.decode().splitlines() == [
        "| name | value |",
        "| --- | --- |",
        "| task_name | a\\|b |",
        "| learning_rate | 5e-05 |",
    ]
    start = hparams_data(tmp_path, "_hparams_/session_start_info").session_start_info
    assert start.hparams["learning_rate"].number_value == 5e-5
    assert start.hparams["xla"].bool_value is False
    assert start.hparams["dev"].string_value == "None"
    end = hparams_data(tmp_path, "_hparams_/session_end_info").session_end_info
    assert end.end_time_secs >= start.start_time_secs
    assert points(tmp_path, "final/f1") == [(30, 0.5)]


def test_the_callback_writes_means_rates_and_the_other_logs(tmp_path):
    class Model(keras.Model):
        """Loss 0, 1, 2, ... and a gradient norm of twice that."""

        def __init__(self):
            super().__init__()
            self.count = tf.Variable(-1.0, trainable=False)

        def train_step(self, data):
            loss = self.count.assign_add(1.0)
            return {"loss": tf.identity(loss), "grad_norm": 2 * loss}

    model = Model()
    model.compile(keras.optimizers.SGD(0.5))
    callback = TrainSummaries(Summaries(tmp_path), lambda step: 2, initial_step=100)
    model.fit(np.zeros([50, 1], "f"), batch_size=2, verbose=0, callbacks=[callback])
    assert points(tmp_path, "loss") == [(110, 4.5), (120, 14.5), (125, 22.0)]
    assert points(tmp_path, "grad_norm") == [(110, 18.0), (120, 38.0), (125, 48.0)]
    assert points(tmp_path, "model_lr") == [(110, 0.5), (120, 0.5), (125, 0.5)]
    assert all(rate > 0 for _, rate in points(tmp_path, "examples_per_second"))
