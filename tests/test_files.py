"""Small files: written whole or not at all."""

import concurrent.futures
import threading
import time

import numpy as np
import pytest

from bert_tf import files
from bert_tf.errors import UserError


def test_json_holds_no_number_that_is_not_finite(tmp_path):
    files.write_json(tmp_path / "results.json", {"loss": 0.5})
    with pytest.raises(UserError, match=r"results\.json: not written: a number .* not finite"):
        files.write_json(tmp_path / "results.json", {"loss": float("nan")})
    assert files.read_json(tmp_path / "results.json", "results") == {"loss": 0.5}


def test_threads_map_arrays_one_header_at_a_time(tmp_path, monkeypatch):
    # CPython 3.11 may fail with "AST constructor recursion depth mismatch" if two do (gh-106905).
    np.save(tmp_path / "ids.npy", np.arange(6).reshape(2, 3))
    load, alone, together = np.load, threading.Lock(), []

    def slow(*args, **kwargs):
        free = alone.acquire(blocking=False)
        together.append(not free)
        time.sleep(0.01)
        if free:
            alone.release()
        return load(*args, **kwargs)

    monkeypatch.setattr(np, "load", slow)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        arrays = list(pool.map(files.map_array, [tmp_path / "ids.npy"] * 8))
    assert not any(together)
    assert all(array.tolist() == [[0, 1, 2], [3, 4, 5]] for array in arrays)
