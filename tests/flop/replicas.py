"""Trains a `PruningModel` on one device and on two, and saves what each replica ends with.

A program of its own: logical devices must exist before TensorFlow's first operation.
Usage: python replicas.py OUTPUT_DIR. Writes <case>-<devices>.npz: "<replica>:<variable>", and
"history:<name>", the logs by epoch.
"""

import pathlib
import sys

import flop  # before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf
import tf_keras as keras

ROWS = 35  # batches of 16, 16 and 3: shares of 8 and 8, then of 2 and 1
CASES = {
    "weighted": {"weighted": True},
    # In each first batch a row of the second replica overflows.
    "overflow": {"policy": "mixed_float16", "large_row": 12},
}


def make_model():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(20, "relu", name="wide"),
        keras.layers.Dense(16, name="narrow"),
        keras.layers.Dense(1, name="head", dtype="float32"),
    ]
    dense = keras.Sequential([keras.Input([12]), *layers])
    masked = flop.factorize(dense, masked=True, skip=["head"])
    return flop.PruningModel(masked, target_sparsity=0.6, target_warmup=10)


def train(strategy, policy="float32", weighted=False, large_row=None):
    """Returns {name: array} of a training under `strategy`."""
    keras.mixed_precision.set_global_policy(policy)
    rng = np.random.default_rng(0)
    x = rng.normal(size=[ROWS, 12]).astype(np.float32)
    if large_row is not None:
        x[large_row] = 60_000
    y = (x[:, :1] > x[:, 1:2]).astype(np.float32)
    with strategy.scope():
        model = make_model()
        model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"], weighted_metrics=["mse"])
    weights = rng.uniform(0, 2, ROWS).astype(np.float32) if weighted else None
    history = model.fit(
        x, y, sample_weight=weights, batch_size=16, epochs=3, shuffle=False, verbose=0
    ).history
    found = {f"history:{name}": np.array(values) for name, values in history.items()}
    pruner = model.pruner
    variables = [*model.trainable_variables, pruner.lambda_1, pruner.lambda_2, model.global_step]
    optimizers = [model.optimizer, pruner.gate_optimizer, pruner.lambda_optimizer]
    named = {v.name: v for v in variables}
    named |= {f"iterations_{i}": optimizer.iterations for i, optimizer in enumerate(optimizers)}
    for name, variable in named.items():
        for index, copy in enumerate(getattr(variable, "values", [variable])):
            found[f"{index}:{name}"] = copy.numpy()
    return found


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategies = {
        1: tf.distribute.get_strategy(),
        2: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    for case, arguments in CASES.items():
        for devices, strategy in strategies.items():
            if case == "overflow" and devices == 1:
                continue  # rounding differs too much in half precision to be compared
            found = train(strategy, **arguments)
            np.savez(pathlib.Path(sys.argv[1]) / f"{case}-{devices}.npz", **found)


if __name__ == "__main__":
    main()
