import subprocess
import sys

import pytest

# Page faults of taking and freeing a 64 MB buffer five times, after a first time.
FAULTS = """
import resource, sys
import numpy as np
from bert_tf.training.allocator import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(3)
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_buffers_are_used_again():
    def run(mode):
        return subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True)

    kept = run("keep")
    if kept.returncode == 3:
        pytest.skip("this system's malloc has no such setting")
    assert int(kept.stdout) < int(run("default").stdout) / 10
