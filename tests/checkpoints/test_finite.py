"""Weights that are NaN or infinite: refused by every reader and every writer."""

import pathlib

import numpy as np
import pytest
import safetensors.numpy

import convert_checkpoint
import factorize
import remove_mask
from bert_tf.checkpoints import finite, google, huggingface, tf_models
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pruning import removal
from tests import tiny

NAME = "bert/encoder/layer_0/output/dense/kernel"


def spoiled(arrays, value=np.nan):
    kernel = arrays[NAME].copy()
    kernel.flat[-1] = value
    return {**arrays, NAME: kernel}


def message(where):
    return rf"{where}: variable {NAME} has NaN or infinity in 1 of its \d+ values"


@pytest.fixture
def model(tmp_path):
    return load_model(tiny.make_model(tmp_path / "model"))


@pytest.fixture(params=["google", "huggingface"])
def bad(request, tmp_path, model):
    """A folder whose weights have one NaN, written by other means than ours."""
    folder = tmp_path / "bad"
    if request.param == "google":
        save_model_folder(folder, model.config, model.arrays, model.vocab_file)
        google.write_checkpoint(folder / "bert_model.ckpt", spoiled(model.arrays))
        return folder
    huggingface.write(folder, model.config, model.arrays, model.vocab_file)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    tensors["bert.encoder.layer.0.output.dense.weight"][-1, -1] = np.inf
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_every_program_refuses_to_read_them(tmp_path, model, bad):
    out = tmp_path / "out"
    data = tiny.make_sst2(tmp_path / "sst2")
    rows = tiny.make_rows(tmp_path / "data")
    tuning = {"task_name": "sst-2", "data_dir": data, "output_dir": out, "max_seq_length": 16}

    def program(module, **values):
        values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
        module.main(module.Options(given=frozenset(values), **values))

    from bert_tf import pretraining
    from bert_tf.pretraining.options import PretrainingOptions

    good = pathlib.Path(model.vocab_file).parent
    for call in (
        lambda: program(convert_checkpoint, input=bad, output=out),
        lambda: program(factorize, model_dir=bad, output_dir=out),
        lambda: program(remove_mask, model_dir=bad, output_folder_dir=out),
        lambda: tiny.run(do_train=True, model_dir=bad, **tuning),
        lambda: tiny.run(do_eval=True, model_dir=bad, **tuning),
        lambda: tiny.run(do_predict=True, model_dir=bad, **tuning),
        lambda: tiny.run(do_train=True, model_dir=good, teacher_model_dir=bad,
                         train_batch_size=8, **tuning),
        lambda: pretraining.run(PretrainingOptions(
            do_train=True, model_dir=str(bad), data_dir=str(rows), output_dir=str(out))),
        lambda: pretraining.run(PretrainingOptions(
            do_eval=True, model_dir=str(bad), data_dir=str(rows), output_dir=str(out))),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message(bad)):
            call()
    assert not list(out.rglob("*.index")) and not list(out.rglob("*.safetensors"))


def write_removed(folder, config, arrays):
    removal.save(removal.Removal(config, arrays, [], {}, "clipped", 0, 0), folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "write",
    [
        save_model_folder,
        huggingface.write,
        lambda folder, *model: tf_models.write(folder / "ckpt", *model),
        write_removed,
    ],
)
def test_no_writer_writes_them(tmp_path, model, write, value):
    with pytest.raises(UserError, match=message(rf"{tmp_path}/out\S*")):
        write(tmp_path / "out", model.config, spoiled(model.arrays, value))
    assert not list(tmp_path.glob("out*/*"))


def test_what_is_no_float_is_left_alone():
    finite.check({"a": np.arange(3), "b": b"text", "c": np.full(2, 3e38, np.float32)}, "x")
