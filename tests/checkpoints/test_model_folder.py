import json

import pytest

from bert_tf.checkpoints import google, huggingface, tf_models
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from tests import needs

TASK = {"task_name": "sst-2", "labels": ["0", "1", "2"], "do_lower_case": False}


@pytest.fixture
def vocab(tmp_path):
    path = tmp_path / "my_vocab.txt"
    path.write_text("[PAD]\n[UNK]\n")
    return path


def test_a_model_folder_round_trip(tmp_path, config, arrays, vocab, same):
    folder = save_model_folder(tmp_path / "m", config, arrays, vocab, TASK)
    model = load_model(folder)
    same(model.arrays, arrays)
    assert (model.config, model.task, model.do_lower_case) == (config, TASK, False)
    assert model.vocab_file == str(folder / "vocab.txt")
    assert sorted(f.name for f in folder.iterdir()) == [
        "bert_config.json", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index",
        "task.json", "vocab.txt",
    ]  # fmt: skip
    save_model_folder(folder, config, arrays, folder / "vocab.txt")  # over itself
    assert (folder / "vocab.txt").read_text() == vocab.read_text()


def test_a_byte_order_mark_does_not_travel(tmp_path, config, arrays, vocab):
    text = vocab.read_bytes()
    vocab.write_bytes(b"\xef\xbb\xbf" + text)
    save_model_folder(tmp_path / "m", config, arrays, vocab)
    huggingface.write(tmp_path / "hf", config, arrays, vocab)
    for name in ("m", "hf"):
        assert (tmp_path / name / "vocab.txt").read_bytes() == text


def test_a_compact_model_folder(tmp_path, factorized, same):
    config, arrays = factorized
    model = load_model(save_model_folder(tmp_path / "m", config, arrays))
    same(model.arrays, arrays)
    assert model.config == config


def test_googles_folder_prefix_and_flags(tmp_path, google_folder, arrays, vocab, same):
    model = load_model(google_folder)
    assert (model.vocab_file, model.task, model.do_lower_case) == (None, None, None)
    same(model.arrays, arrays)
    moved = tmp_path / "elsewhere.json"
    (google_folder / "bert_config.json").rename(moved)
    prefix = google_folder / "bert_model.ckpt"
    with pytest.raises(UserError, match=r"bert_config.json: no such file.*--bert_config_file"):
        load_model(prefix)
    model = load_model(prefix, config_file=moved, vocab_file=vocab)
    same(model.arrays, arrays)
    assert model.vocab_file == str(vocab)


def test_a_hugging_face_folder(tmp_path, config, arrays, vocab, same):
    huggingface.write(tmp_path / "hf", config, arrays, vocab, do_lower_case=True)
    model = load_model(tmp_path / "hf")
    same(model.arrays, arrays)
    assert model.do_lower_case is True and model.vocab_file.endswith("hf/vocab.txt")
    saved = save_model_folder(tmp_path / "m", model.config, model.arrays, model.vocab_file)
    assert load_model(saved).do_lower_case is True
    with pytest.raises(UserError, match=r"--bert_config_file=.*leave the flag out"):
        load_model(tmp_path / "hf", config_file=saved / "bert_config.json")


@needs.tf_models
def test_a_tf_models_checkpoint(tmp_path, config, arrays, same):
    tf_models.write(tmp_path / "tfm" / "ckpt-1", config, arrays)
    same(load_model(tmp_path / "tfm" / "ckpt-1").arrays, arrays)
    config.replace(hidden_act="relu").save(tmp_path / "tfm" / "bert_config.json")
    assert load_model(tmp_path / "tfm").config.hidden_act == "relu"


def test_nothing_recognised(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match=r"looked for bert_model.ckpt.index .*model.safetens"):
            load_model(path)
    with pytest.raises(UserError, match="--vocab_file=nowhere: no such file"):
        load_model(tmp_path, vocab_file="nowhere")


def test_half_a_checkpoint_and_another_shape(google_folder):
    values = json.loads((google_folder / "bert_config.json").read_text())
    (google_folder / "bert_config.json").write_text(json.dumps({**values, "vocab_size": 7}))
    with pytest.raises(UserError, match=r"word_embeddings has shape \[97, 24\].*says \[7, 24\]"):
        load_model(google_folder)
    (google_folder / "bert_model.ckpt.index").unlink()
    with pytest.raises(UserError, match=r"bert_model.ckpt.index: the index file is missing"):
        load_model(google_folder / "bert_model.ckpt")


def test_a_failed_save_leaves_the_old_folder(tmp_path, config, arrays, same, monkeypatch):
    folder = save_model_folder(tmp_path / "m", config, arrays)

    def full_disk(prefix, arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(google, "save_arrays", full_disk)
    with pytest.raises(UserError, match=r"bert_model.ckpt: cannot write .*No space left"):
        save_model_folder(folder, config.replace(hidden_act="relu"), arrays, task=TASK)
    model = load_model(folder)
    same(model.arrays, arrays)
    assert (model.config, model.task) == (config, None)


def test_the_weights_of_another_form_beside_it_are_named(tmp_path, config, arrays, same):
    folder = save_model_folder(tmp_path / "m", config, arrays)
    (folder / "model.safetensors").write_bytes(b"")
    model = load_model(folder)
    same(model.arrays, arrays)
    assert model.left == {"model.safetensors": "not read beside bert_model.ckpt"}
