"""What a measurement ran on."""

import datetime
import os
import platform

from bert_tf import machine


def describe():
    """Returns a few lines: date, CPU, cores, memory, versions, TensorFlow's devices."""
    import tensorflow as tf  # here, so that --help of a benchmark need not wait for it

    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return "\n".join(
        (
            f"date      {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
            f"cpu       {machine.cpu_model()}, {machine.cores()} cores usable,"
            f" load {os.getloadavg()[0]:.1f}, {machine.memory_gib():.1f} GiB memory",
            f"versions  Python {platform.python_version()}, TensorFlow {tf.__version__}",
            f"devices   {', '.join(['CPU', *gpus])}",
        )
    )
