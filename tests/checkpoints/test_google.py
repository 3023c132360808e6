import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints import google, names
from bert_tf.errors import UserError

INDEX, DATA = "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"


def test_reads_googles_own_checkpoint(google_folder, config):
    arrays = google.read_checkpoint(google_folder / "bert_model.ckpt")
    assert len(arrays) == 64
    for name, shape in names.encoder_shapes(config).items():
        assert arrays[name].shape == shape and arrays[name].dtype == np.float32
    assert arrays["output_weights"].shape == (3, 24)


@pytest.mark.parametrize("ending", ["", "bert_model.ckpt.index", DATA])
def test_a_folder_or_one_of_the_files_will_do_for_the_prefix(google_folder, arrays, same, ending):
    same(google.read_checkpoint(google_folder / ending), arrays)


def test_round_trip_is_bit_exact(tmp_path, arrays, same):
    google.write_checkpoint(tmp_path / "new" / "model.ckpt", arrays)
    same(google.read_checkpoint(tmp_path / "new" / "model.ckpt"), arrays)
    assert sorted(f.name for f in (tmp_path / "new").iterdir()) == [
        "model.ckpt.data-00000-of-00001",
        "model.ckpt.index",
    ]


def test_the_checkpoint_file_names_the_newest(tmp_path, arrays):
    for step in (5, 10):
        scaled = {"output_bias": arrays["output_bias"] * step}
        google.write_checkpoint(tmp_path / f"model.ckpt-{step}", scaled)
    with pytest.raises(UserError, match=r"several checkpoints: model.ckpt-10, model.ckpt-5"):
        google.read_checkpoint(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"\n')
    found = google.read_checkpoint(tmp_path)["output_bias"]
    np.testing.assert_array_equal(found, arrays["output_bias"] * 5)


@pytest.mark.parametrize(
    "named",
    ["/data/elsewhere/out/model.ckpt-5", "../out/model.ckpt-5", "C:\\\\out\\\\model.ckpt-5"],
)
def test_a_copied_folder_has_the_newest_checkpoint_itself(tmp_path, arrays, named, caplog):
    for step in (5, 10):
        google.write_checkpoint(
            tmp_path / f"model.ckpt-{step}", {"a": arrays["output_bias"] * step}
        )
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\n')
    with caplog.at_level("WARNING", logger="absl"):
        found = google.read_checkpoint(tmp_path)["a"]
    np.testing.assert_array_equal(found, arrays["output_bias"] * 5)
    assert f"{tmp_path}/checkpoint names {named}: taking model.ckpt-5" in caplog.text


def test_the_own_folder_wins_over_the_place_it_was_copied_from(tmp_path, arrays):
    for place, scale in (("old", 1), ("new", 2)):
        scaled = {"a": arrays["output_bias"] * scale}
        google.write_checkpoint(tmp_path / place / "model.ckpt-5", scaled)
        text = f'model_checkpoint_path: "{tmp_path}/old/model.ckpt-5"\n'
        (tmp_path / place / "checkpoint").write_text(text)
    found = google.read_checkpoint(tmp_path / "new")["a"]
    np.testing.assert_array_equal(found, arrays["output_bias"] * 2)
    for file in (tmp_path / "new").glob("model.ckpt-5.*"):
        file.unlink()
    found = google.read_checkpoint(tmp_path / "new")["a"]  # there is no other
    np.testing.assert_array_equal(found, arrays["output_bias"])


def test_a_checkpoint_file_that_points_elsewhere_says_what_is_there(tmp_path, arrays):
    state = tmp_path / "checkpoint"
    state.write_text('model_checkpoint_path: "/gone/model.ckpt-7"\n')
    with pytest.raises(UserError, match=r"in its own folder there is no checkpoint, expected mod"):
        google.read_checkpoint(tmp_path)
    for step in (5, 6):
        google.write_checkpoint(tmp_path / f"model.ckpt-{step}", {"a": arrays["output_bias"]})
    with pytest.raises(UserError) as e:
        google.read_checkpoint(tmp_path)
    assert str(e.value) == (
        f"{state}: names /gone/model.ckpt-7, which is not there; in its own folder there is"
        f" model.ckpt-5, model.ckpt-6, expected model.ckpt-7: name one, {tmp_path}/model.ckpt-6"
        " for example"
    )


@pytest.mark.parametrize("prefix", ["module/", "a/b/", "model/bert_model/", "bert/model/"])
def test_a_prefix_of_all_names_is_taken_away(tmp_path, arrays, same, prefix):
    named = {f"{prefix}{name}": value for name, value in arrays.items()}
    slots = {f"{name}/adam_m": np.zeros_like(value) for name, value in named.items()}
    google.write_checkpoint(tmp_path / "m", {**named, **slots, "global_step": np.int64(1)})
    found, left, remarks = google.read_with_remarks(tmp_path / "m")
    same(found, arrays)
    assert set(left.values()) == {"training state"}
    assert remarks == [f"64 of 64 names began with {prefix}, which was taken away"]


def test_names_without_bert_get_it(tmp_path, arrays, same):
    named = {f"enc/{name.removeprefix('bert/')}": value for name, value in arrays.items()}
    google.write_checkpoint(tmp_path / "m", named)
    same(google.read_checkpoint(tmp_path / "m"), arrays)


def test_training_state_is_dropped_and_counted(tmp_path):
    weight = np.ones([2, 3], np.float32)
    arrays = {"output_weights": weight, "global_step": np.int64(7), "beta1_power": np.float32(0.9)}
    for slot in ("adam_m", "adam_v", "Adam", "Adam_1"):
        arrays[f"output_weights/{slot}"] = weight
    google.write_checkpoint(tmp_path / "model.ckpt-7", arrays)
    kept, left = google.read(tmp_path / "model.ckpt-7")
    assert list(kept) == ["output_weights"]
    assert len(left) == 6 and set(left.values()) == {"training state"}


def test_half_precision_becomes_float32(tmp_path):
    half = tf.constant([1.5, -2.25], tf.bfloat16).numpy()
    google.write_checkpoint(tmp_path / "m", {"a": half, "b": half.astype(np.float16)})
    for value in google.read_checkpoint(tmp_path / "m").values():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, [1.5, -2.25])


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "byte flipped"])
@pytest.mark.parametrize("file", [INDEX, DATA])
def test_damage_is_one_clear_error_naming_the_file(google_folder, file, how):
    damage(google_folder / file, how)
    with pytest.raises(UserError) as e:
        google.read_checkpoint(google_folder / "bert_model.ckpt")
    assert file.split("-0")[0] in str(e.value)
    assert {"missing": "missing"}.get(how, "corrupt") in str(e.value)


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="no checkpoint there"):
        google.read_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(UserError, match=r"no bert_model.ckpt and no file named checkpoint"):
        google.read_checkpoint(tmp_path)


def test_an_object_based_checkpoint_is_told_apart(tmp_path):
    tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "ckpt"))
    assert google.is_object_based(tmp_path / "ckpt")
    with pytest.raises(UserError, match="object-based"):
        google.read_checkpoint(tmp_path / "ckpt")


FULL_DISK = """
import resource, signal, sys
import numpy as np
import bert_tf
from bert_tf.checkpoints import google
from bert_tf.errors import UserError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
try:
    google.write_checkpoint(sys.argv[1], {"output_bias": np.zeros(100000, np.float32)})
except UserError as e:
    print("refused:", e)
"""


def test_a_full_disk_leaves_the_old_checkpoint(google_folder, arrays, same):
    prefix = google_folder / "bert_model.ckpt"
    before = sorted(f.name for f in google_folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(prefix)], capture_output=True, text=True, check=True
    )
    assert f"refused: {prefix}: cannot write" in done.stdout, done.stderr
    assert sorted(f.name for f in google_folder.iterdir()) == before
    same(google.read_checkpoint(prefix), arrays)


def test_an_unwritable_folder_is_named(tmp_path, arrays):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/model.ckpt: cannot write"):
        google.write_checkpoint(tmp_path / "file" / "model.ckpt", arrays)


@pytest.mark.slow
def test_a_real_download_without_its_data_file(data_folder):
    prefix = data_folder / "models" / "google_bert_ckpt_index" / "bert_model.ckpt"
    assert len(google.Bundle(prefix).names) == 206
    with pytest.raises(UserError, match=r"bert_model.ckpt.data-00000-of-00001: the data file is"):
        google.read_checkpoint(prefix)


@pytest.mark.parametrize(
    "slot", ["lamb_m", "AdamWeightDecayOptimizer_1", "ExponentialMovingAverage"]
)
def test_slots_of_any_optimizer_are_left(tmp_path, arrays, same, slot):
    slots = {f"{name}/{slot}": np.zeros_like(value) for name, value in arrays.items()}
    google.write_checkpoint(tmp_path / "model.ckpt", {**arrays, **slots})
    found, left = google.read(tmp_path / "model.ckpt")
    same(found, arrays)
    assert left == dict.fromkeys(slots, "training state")
