import errno
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import ml_dtypes
import numpy as np
import pytest
from absl import logging

from bert_tf.freezing.activation_store import ActivationStore, StoreFault
from tests import tiny

LENGTHS = np.array([3, 7, 2, 5, 4, 6])
HIDDEN = 8
ALL = np.arange(len(LENGTHS))
TOKENS = int(LENGTHS.sum())
DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


@pytest.fixture(params=["memory", "disk"])
def folder(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "new" / "cache"


def make(folder, **changes):
    arguments = {"depth": 2, "dtype": "float32", "fingerprint": "abc", "folder": folder}
    return ActivationStore(**{"lengths": LENGTHS, "hidden_size": HIDDEN, **arguments, **changes})


def states(ids, length=7, dtype=np.float32, seed=0):
    """Hidden states that differ from example to example; garbage in the padding."""
    every = np.random.default_rng(seed).standard_normal((len(LENGTHS), length, HIDDEN))
    return every.astype(dtype)[ids]


def padded(ids, length=7, dtype=np.float32, seed=0):
    """What a store should return for `states`."""
    mask = np.arange(length) < LENGTHS[ids][:, None]
    return np.where(mask[..., None], states(ids, max(length, 7), dtype, seed)[:, :length], 0)


def assert_holds(store, ids):
    np.testing.assert_array_equal(store.has(ALL), np.isin(ALL, ids))
    assert store.filled == len(ids)
    assert store.bytes_used == LENGTHS[list(ids)].sum() * HIDDEN * 4
    np.testing.assert_array_equal(store.read(ids, 7), padded(ids))


def path(folder, suffix, depth=2):
    """The file of the only store of a depth."""
    (found,) = folder.glob(f"depth-{depth}-*.{suffix}")
    return found


def leave(store):
    """What a process that is killed does: nothing is closed in order, but the lock is gone."""
    store._backing._data.close()


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", [np.float32, ml_dtypes.bfloat16, np.float64])
def test_round_trip(folder, dtype, source):
    store = make(folder, dtype=dtype)
    ids = np.array([4, 1, 3])
    assert not store.has(ALL).any() and store.filled == 0
    assert store.write(ids, states(ids, dtype=source)) == 3
    np.testing.assert_array_equal(store.has([3, 0, 1]), [True, False, True])
    read = store.read([3, 1, 3], 9)
    expected = np.zeros((3, 9, HIDDEN), DTYPES[dtype])
    for row, i in enumerate([3, 1, 3]):
        kept = states([i], dtype=source)[0, : LENGTHS[i]]
        expected[row, : LENGTHS[i]] = kept.astype(np.float32).astype(dtype)
    assert read.dtype == DTYPES[dtype] and read.flags.writeable
    np.testing.assert_array_equal(read, expected)
    assert store.bytes_used == LENGTHS[ids].sum() * HIDDEN * expected.itemsize
    assert not store.complete
    assert store.write(ALL, states(ALL, dtype=source)) == 3
    assert store.complete and not store.full and store.depth == 2
    store.close()


def test_an_entry_is_written_once(folder):
    store = make(folder)
    assert store.write([1, 1, 2], states([1, 1, 2])) == 2
    assert store.write([2, 5, 1], states([2, 5, 1], seed=1)) == 1
    np.testing.assert_array_equal(store.read([1, 2], 7), padded([1, 2]))
    np.testing.assert_array_equal(store.read([5], 7), padded([5], seed=1))
    assert store.filled == 3 and store.bytes_used == LENGTHS[[1, 2, 5]].sum() * HIDDEN * 4


def test_rows_need_to_reach_only_the_longest_of_the_batch(folder):
    store = make(folder)
    store.write([0, 2], states([0, 2])[:, :3])
    np.testing.assert_array_equal(store.read([2, 0], 3), padded([2, 0], 3))
    assert store.read([], 5).shape == (0, 5, HIDDEN)


def test_wrong_arguments_are_refused(folder):
    store = make(folder)
    store.write([1], states([1]))
    with pytest.raises(ValueError, match="7 tokens does not fit length=6"):
        store.read([1], 6)
    with pytest.raises(ValueError, match="6 rows for an example of 7 tokens"):
        store.write([1], states([1])[:, :6])
    with pytest.raises(ValueError, match=r"shape \(1, 7, 4\), expected \(1, tokens, 8\)"):
        store.write([0], states([0])[..., :4])
    for ids in ([-1], [6]):
        with pytest.raises(IndexError, match="expected 0 to 5"):
            store.has(ids)
    with pytest.raises(StoreFault, match="example 3 is not stored"):
        store.read([1, 3], 7)
    assert_holds(store, [1])


def test_stops_at_the_budget(folder):
    entry = LENGTHS * HIDDEN * 4
    store = make(folder, budget_bytes=int(entry[[5, 0, 2]].sum()) + 1)
    assert store.write([5, 0], states([5, 0])) == 2
    assert not store.full
    assert store.write([1, 2], states([1, 2])) == 0  # 2 would fit, but 1 came first
    assert store.full
    assert store.write([2], states([2])) == 0
    assert_holds(store, [5, 0])


def test_a_budget_of_exactly_all_entries_holds_all(folder):
    store = make(folder, budget_bytes=TOKENS * HIDDEN * 4)
    assert store.write(ALL, states(ALL)) == 6
    assert store.complete and not store.full


def test_memory_beyond_the_machine_is_a_fault():
    with pytest.raises(StoreFault, match="activations in memory: cannot reserve"):
        ActivationStore([2**40], 1024, 1)


def test_scattered_entries_take_little_memory():
    statm = pathlib.Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc")

    def resident():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    lengths = np.full(1000, 100)  # 400 MB of entries, one in 50 written
    store = ActivationStore(lengths, 1000, 1)
    hidden = np.ones((1, 100, 1000), np.float32)
    before = resident()
    for i in range(0, 1000, 50):
        store.write([i], hidden)
    assert store.bytes_used == 8_000_000
    assert resident() - before < 40_000_000


def test_values_beyond_float16_are_not_stored(folder):
    for source in (np.float32, ml_dtypes.bfloat16):
        store = make(folder, dtype="float16")
        hidden = states([0, 1], dtype=source)
        hidden[1, 6] = 1e5
        with pytest.raises(StoreFault, match="example 1 has values beyond float16's range"):
            store.write([0, 1], hidden)
        np.testing.assert_array_equal(store.has([0, 1]), [True, False])
        assert store.full
        store.close()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_data_file_is_unpadded_and_flat(tmp_path, dtype):
    store = make(tmp_path, dtype=dtype)
    store.write([3], states([3]))
    data = np.fromfile(path(tmp_path, "data"), DTYPES[dtype]).reshape(-1, HIDDEN)
    assert len(data) == TOKENS
    start = LENGTHS[:3].sum()
    np.testing.assert_array_equal(data[start : start + 5], states([3])[0, :5].astype(dtype))
    assert path(tmp_path, "filled").read_bytes() == bytes([0, 0, 0, 1, 0, 0])


def test_disk_is_taken_as_entries_come(tmp_path):
    store = ActivationStore(np.full(100, 1000), 1000, 1, folder=tmp_path)
    store.write([50], np.ones((1, 1000, 1000), np.float32))
    stat = path(tmp_path, "data", depth=1).stat()
    assert stat.st_size == 400_000_000
    assert stat.st_blocks * 512 < 10_000_000


def test_depths_share_a_folder(tmp_path):
    stores = [make(tmp_path, depth=d) for d in (0, 2)]
    for seed, store in enumerate(stores):
        store.write([1], states([1], seed=seed))
    for seed, store in enumerate(stores):
        np.testing.assert_array_equal(store.read([1], 7), padded([1], seed=seed))
    stores[0].close()
    files = [path(tmp_path, suffix) for suffix in ("data", "filled", "json")]
    assert sorted(tmp_path.iterdir()) == files


def test_close_removes_the_files_and_empties_the_store(folder):
    store = make(folder)
    store.write(ALL, states(ALL))
    store.close()
    store.close()
    assert folder is None or list(folder.iterdir()) == []
    assert not store.has(ALL).any()
    assert store.write(ALL, states(ALL)) == 0
    with pytest.raises(StoreFault, match="not stored"):
        store.read([1], 7)


def test_a_kept_store_is_taken_over(tmp_path, caplog):
    store = make(tmp_path)
    store.write([1, 4], states([1, 4]))
    store.close(remove=False)
    store = make(tmp_path)
    assert_holds(store, [1, 4])
    assert store.write(ALL, states(ALL)) == 4
    assert store.complete and not caplog.records


def test_entries_outlive_a_killed_process(tmp_path, caplog):
    program = f"""
import os, signal, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_activation_store as t
store = t.make(t.pathlib.Path({str(tmp_path)!r}))
store.write([1, 4], t.states([1, 4]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert_holds(make(tmp_path), [1, 4])
    assert not caplog.records


def test_a_kill_between_data_and_index_leaves_the_entry_unfilled(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def write_data_only(descriptor, data, offset, pwrite=os.pwrite):
        if len(data) == 1:
            raise Killed
        return pwrite(descriptor, data, offset)

    store = make(tmp_path)
    store.write([0], states([0]))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "pwrite", write_data_only)
        store.write([1], states([1], seed=1))
    leave(store)
    store = make(tmp_path)
    assert_holds(store, [0])
    assert store.write([1], states([1])) == 1
    assert_holds(store, [0, 1])


def test_stores_at_once_in_one_folder_have_files_of_their_own(tmp_path, caplog):
    stores = [make(tmp_path) for _ in range(3)] + [make(tmp_path, fingerprint="other")]
    for seed, store in enumerate(stores):
        store.write(ALL, states(ALL, seed=seed))
    for seed, store in enumerate(stores):
        np.testing.assert_array_equal(store.read(ALL, 7), padded(ALL, seed=seed))
    assert not caplog.records
    stores[1].close(remove=False)
    stores[0].close()
    leave(stores[2])
    np.testing.assert_array_equal(stores[3].read(ALL, 7), padded(ALL, seed=3))
    again = make(tmp_path)  # of those that are free, kept or left behind, the first place is empty
    assert not again.filled
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # of what was left
    second = make(tmp_path)
    np.testing.assert_array_equal(second.read(ALL, 7), padded(ALL, seed=1))


def test_a_store_in_use_is_told_in_one_line(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "info", lambda message, *args: said.append(message % args))
    first = make(tmp_path)
    second = make(tmp_path)
    assert len(said) == 1
    assert re.search(r"depth-2-\w+\.data: in use by another run: this one keeps its own$", said[0])
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_of_something_else_stays_and_what_was_left_goes(tmp_path, caplog):
    for fingerprint, end in (("kept", lambda s: s.close(remove=False)), ("left", leave)):
        store = make(tmp_path, fingerprint=fingerprint)
        store.write([1], states([1]))
        end(store)
    (tmp_path / "depth-2.data").write_bytes(b"older")
    (tmp_path / "depth-2.json").write_text('{"boot": null}')
    (tmp_path / "depth-20-x.data").write_bytes(b"of another depth")
    assert make(tmp_path).filled == 0
    assert len(caplog.messages) == 2
    assert all(
        m.endswith("made for something else, and left behind: removed") for m in caplog.messages
    )
    assert make(tmp_path, fingerprint="kept").filled == 1
    assert make(tmp_path, fingerprint="left").filled == 0
    assert not (tmp_path / "depth-2.json").exists()
    assert (tmp_path / "depth-20-x.data").exists()


def work_in(folder, seed, rounds=20, killed_in=None):
    """Opens, checks, fills and closes a store of `seed`'s entries, again and again."""
    for number in range(rounds):
        store = make(folder, fingerprint=str(seed))
        held = np.flatnonzero(store.has(ALL))
        np.testing.assert_array_equal(store.read(held, 7), padded(held, seed=seed))
        for ids in np.random.default_rng([seed, number]).permutation(ALL).reshape(3, 2):
            store.write(ids, states(ids, seed=seed))
            np.testing.assert_array_equal(store.read(ids, 7), padded(ids, seed=seed))
        if number == killed_in:
            os.kill(os.getpid(), signal.SIGKILL)
        store.close(remove=number % 2 == 0)


def test_processes_that_share_a_folder_read_what_they_wrote_also_after_kills(tmp_path):
    program = (
        f"import sys; sys.path[:0] = [{os.path.dirname(__file__)!r}, {str(tiny.ROOT)!r}]\n"
        f"import test_activation_store as t\n"
        f"t.work_in(t.pathlib.Path({str(tmp_path)!r}), **eval(sys.argv[1]))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, repr(arguments)],
            stderr=subprocess.PIPE, env=tiny.environment(),
        )
        for arguments in ({"seed": 0, "rounds": 200, "killed_in": 150}, {"seed": 1, "rounds": 200})
    ]  # fmt: skip
    while any(process.poll() is None for process in processes):
        work_in(tmp_path, seed=0, rounds=5)
    errors = [process.communicate()[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [-9, 0], errors
    work_in(tmp_path, seed=0)
    work_in(tmp_path, seed=1)


def test_the_budget_counts_entries_taken_over(tmp_path):
    make(tmp_path).write([1], states([1]))
    store = make(tmp_path, budget_bytes=int(LENGTHS[1]) * HIDDEN * 4)
    assert store.write([2], states([2])) == 0
    assert store.full
    assert_holds(store, [1])


def truncate(suffix):
    def damage(folder):
        file = path(folder, suffix)
        os.truncate(file, file.stat().st_size - 1)

    return damage


def replace(suffix, content):
    return lambda folder: path(folder, suffix).write_bytes(content)


def restart(folder):
    text = path(folder, "json").read_text()
    boot = text[text.index('"boot": "') + 9 :].split('"')[0]
    path(folder, "json").write_text(text.replace(boot, "before"))


def nothing(folder):
    pass


@pytest.mark.parametrize(
    ("damage", "changes", "message"),
    [
        (nothing, {"fingerprint": "x"}, ".data: made for something else, and left behind: removed"),
        (nothing, {"dtype": "float16"}, ".data: made for something else"),
        (nothing, {"hidden_size": 4}, ".data: made for something else"),
        (nothing, {"lengths": LENGTHS[::-1]}, ".data: made for something else"),
        (truncate("data"), {}, ".data: 863 bytes, expected 864"),
        (truncate("filled"), {}, ".filled: 5 bytes, expected 6"),
        (replace("filled", b"\0\1\0\0\7\0"), {}, ".filled: a byte is 7, expected 0 or 1"),
        (replace("json", b'{"form'), {}, ".json: the description of stored activations is"),
        (replace("json", b"{}"), {}, ".json: format is None, expected 1"),
        (lambda folder: path(folder, "json").unlink(), {}, ".json: cannot read"),
        (lambda folder: path(folder, "data").unlink(), {}, ".data: 0 bytes, expected 864"),
        (restart, {}, ".json: not closed before the machine was restarted"),
    ],
)
def test_files_that_do_not_fit_are_dropped_with_a_warning(
    tmp_path, caplog, damage, changes, message
):
    make(tmp_path).write([1, 4], states([1, 4]))
    damage(tmp_path)
    store = make(tmp_path, **changes)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert message in caplog.messages[0]
    assert store.filled == 0 and not store.has(ALL[:6]).any()
    if not changes:
        assert store.write(ALL, states(ALL)) == 6
        assert_holds(store, ALL)
        leave(store)
        assert_holds(make(tmp_path), ALL)
        assert len(caplog.records) == 1


@pytest.mark.parametrize("size", [0, 100, TOKENS * HIDDEN * 4 - 1])
def test_a_file_cut_short_while_open_is_a_fault_in_reading(tmp_path, size):
    store = make(tmp_path)
    store.write([0, 5], states([0, 5]))
    os.truncate(path(tmp_path, "data"), size)
    with pytest.raises(StoreFault, match=rf"\.data: {size} bytes, expected 864"):
        store.read([0, 5], 7)
    # The cut may have taken any entry.
    assert not store.has(ALL).any() and store.full
    assert store.write([1], states([1])) == 0
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_while_open_is_not_filled_up_with_zeros(tmp_path):
    store = make(tmp_path)
    store.write([2, 3], states([2, 3]))
    os.truncate(path(tmp_path, "data"), 8)
    with pytest.raises(StoreFault, match=r".data: 8 bytes, expected 864"):
        store.write([5], states([5]))
    assert not store.has(ALL).any()
    assert path(tmp_path, "data").stat().st_size == 8


def test_files_deleted_while_open_do_not_matter(tmp_path):
    store = make(tmp_path)
    store.write([1], states([1]))
    for file in tmp_path.iterdir():
        file.unlink()
    store.write([0], states([0]))
    assert_holds(store, [0, 1])
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_what_is_there(tmp_path, monkeypatch):
    store = make(tmp_path)
    store.write([1], states([1]))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", no_space)
        with pytest.raises(StoreFault, match=r"\.data: cannot write: No space left"):
            store.write([2, 3], states([2, 3]))
    assert store.full
    assert store.write([2], states([2])) == 0  # one fault, not one at each step
    assert_holds(store, [1])
    leave(store)
    assert_holds(make(tmp_path), [1])


def test_a_partial_write_is_completed_or_does_not_count(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda d, data, at: real(d, bytes(data)[:50], at))
    store = make(tmp_path)
    store.write([1], states([1]))
    assert_holds(store, [1])
    calls = []

    def then_full(descriptor, data, offset):
        calls.append(offset)
        return real(descriptor, bytes(data)[:50], offset) if len(calls) < 3 else no_space()

    monkeypatch.setattr(os, "pwrite", then_full)
    with pytest.raises(StoreFault):
        store.write([5], states([5]))
    assert_holds(store, [1])
    leave(store)
    assert_holds(make(tmp_path), [1])


def test_a_failing_disk_is_a_fault_in_reading(tmp_path, monkeypatch):
    def failing(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = make(tmp_path)
    store.write([1], states([1]))
    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(StoreFault, match=r".data: cannot read: Input/output error"):
        store.read([1], 7)
    assert not store.has([1]).any()


def test_a_real_full_disk(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("cannot mount a small tmpfs here")
    lengths = np.full(40, 64)  # 16 kB each
    hidden = np.random.default_rng(0).standard_normal((40, 64, 64)).astype(np.float32)
    try:
        store = ActivationStore(lengths, 64, 1, folder=tmp_path)
        with pytest.raises(StoreFault, match=r"\.data: cannot write: No space left"):
            store.write(np.arange(40), hidden)
        assert 1 <= store.filled <= 4
        stored = np.flatnonzero(store.has(np.arange(40)))
        np.testing.assert_array_equal(store.read(stored, 64), hidden[stored])
        with pytest.raises(StoreFault, match="No space left"):
            ActivationStore(np.ones(100_000), 8, 2, folder=tmp_path)
        store.close()
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFault, match="file: "):
        make(tmp_path / "file")


def test_kept_entries_that_the_disk_lost_are_removed(tmp_path, monkeypatch, caplog):
    def failing(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = make(tmp_path)
    store.write([1], states([1]))
    monkeypatch.setattr(os, "fsync", failing)
    store.close(remove=False)
    assert ".data: the stored activations cannot be kept: " in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_one_writer_and_many_readers(folder):
    lengths = np.random.default_rng(1).integers(1, 40, 200)
    hidden = np.random.default_rng(2).standard_normal((200, 40, HIDDEN)).astype(np.float32)
    expected = np.where((np.arange(40) < lengths[:, None])[..., None], hidden, 0)
    store = ActivationStore(lengths, HIDDEN, 1, folder=folder)
    wrong, written = [], threading.Event()

    def read(seed):
        rng = np.random.default_rng(seed)
        while not written.is_set():
            ids = rng.integers(0, 200, 16)
            ids = ids[store.has(ids)]
            if not np.array_equal(store.read(ids, 40), expected[ids]):
                wrong.append(ids)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    try:
        for ids in np.array_split(np.random.default_rng(3).permutation(200), 25):
            store.write(ids, hidden[ids])
    finally:
        written.set()
    for reader in readers:
        reader.join()
    assert not wrong and store.filled == 200
