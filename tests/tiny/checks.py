"""What a run has written, read back, and what has to agree of two runs."""

import pathlib


def arrays_of(folder):
    """Returns {name: array} of the model in `folder`."""
    from bert_tf.checkpoints import google

    return google.read_checkpoint(pathlib.Path(folder) / "bert_model.ckpt")


def assert_same_bits(found, expected):
    """Asserts that two array dictionaries are equal bit for bit."""
    assert set(found) == set(expected)
    different = [name for name in found if found[name].tobytes() != expected[name].tobytes()]
    assert not different


def read_events(folder):
    """Returns ({tag: [(step, value)]} of all scalars, {tag: summary value} of the others)."""
    import tensorflow as tf
    from tensorboard.compat.proto import event_pb2

    scalars, others = {}, {}
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tf.make_ndarray(value.tensor))
                    scalars.setdefault(value.tag, []).append((event.step, number))
                else:
                    others[value.tag] = value
    return scalars, others
