"""What a measurement ran on."""

import contextlib
import datetime
import os
import platform


def describe():
    """Returns a few lines: date, CPU, cores, memory, versions, TensorFlow's devices."""
    import tensorflow as tf  # here, so that --help of a benchmark need not wait for it

    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "\n".join(
        (
            f"date      {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
            f"cpu       {_cpu_model()}, {len(os.sched_getaffinity(0))} cores usable,"
            f" load {os.getloadavg()[0]:.1f}, {memory:.1f} GiB memory",
            f"versions  Python {platform.python_version()}, TensorFlow {tf.__version__}",
            f"devices   {', '.join(['CPU', *gpus])}",
        )
    )


def _cpu_model():
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as f:  # Linux only
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
