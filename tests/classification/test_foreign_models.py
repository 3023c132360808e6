"""Runs that start from models of other programs: what is missing or does not fit is said."""

import json

import numpy as np
import pytest

import factorize
from bert_tf import pretraining
from bert_tf.checkpoints import google, huggingface
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pretraining.options import PretrainingOptions
from tests import tiny

FLAGS = {"task_name": "sst-2", "max_seq_length": 16}
HEAD = "cls/predictions"


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture
def data(tmp_path):
    return tiny.make_sst2(tmp_path / "data")


@pytest.fixture
def model(tmp_path):
    """`LoadedModel` with a masked-LM head and a classifier."""
    model = load_model(tiny.make_model(tmp_path / "model"))
    rng = np.random.default_rng(5)
    width, rows = model.config.hidden_size, model.config.vocab_size
    shapes = {
        f"{HEAD}/transform/dense/kernel": [width, width],
        f"{HEAD}/transform/dense/bias": [width],
        f"{HEAD}/transform/LayerNorm/gamma": [width],
        f"{HEAD}/transform/LayerNorm/beta": [width],
        f"{HEAD}/output_bias": [rows],
        "output_weights": [2, width],
        "output_bias": [2],
    }
    model.arrays.update({n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()})
    return model


def save(model, folder, without=(), **changes):
    """Writes a Hugging Face folder without the arrays that begin so, config.json changed."""
    arrays = {n: a for n, a in model.arrays.items() if not n.startswith(tuple(without) or "-")}
    huggingface.write(folder, model.config, arrays, model.vocab_file, do_lower_case=True)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))
    return folder


def test_a_classifier_trains_from_an_untied_masked_lm(model, data, tmp_path, caplog):
    folder = save(model, tmp_path / "hf", ["output_"], tie_word_embeddings=False)
    with caplog.at_level("INFO", logger="absl"):
        tiny.run(
            do_train=True, do_eval=True, model_dir=folder, data_dir=data, num_train_epochs=1.0,
            output_dir=tmp_path / "out", **FLAGS,
        )  # fmt: skip
    assert "masked-LM head, not taken: tie_word_embeddings is false" in caplog.text
    assert not any(name.startswith("cls/") for name in tiny.arrays_of(tmp_path / "out"))


def test_a_pooler_that_is_missing_starts_anew_and_is_said(model, data, tmp_path, caplog):
    folder = save(model, tmp_path / "hf", ["bert/pooler/", "output_"])
    flags = {"model_dir": folder, "data_dir": data, "output_dir": tmp_path / "out", **FLAGS}
    with pytest.raises(UserError, match="holds no classifier for the 2 outputs of task sst-2"):
        tiny.run(do_eval=True, **flags)
    with caplog.at_level("INFO", logger="absl"):
        tiny.run(do_train=True, num_train_epochs=1.0, **flags)
    assert "at initialisation  bert/pooler/dense/{bias,kernel}" in caplog.text
    assert "(the source has no pooler: it starts anew)" in caplog.text
    assert "bert/pooler/dense/kernel" in tiny.arrays_of(tmp_path / "out")


def test_a_classifier_without_its_pooler_is_not_used(model, data, tmp_path):
    folder = save(model, tmp_path / "hf", ["bert/pooler/"])
    message = r"hf \(Hugging Face folder\): holds no pooler \(bert/pooler/dense/kernel\), through w"
    flags = {"data_dir": data, "output_dir": tmp_path / "out", **FLAGS}
    for kind in ("do_eval", "do_predict"):
        with pytest.raises(UserError, match=message):
            tiny.run(model_dir=folder, **{kind: True}, **flags)
    with pytest.raises(UserError, match=message):  # nor is it a teacher
        tiny.run(
            do_train=True, model_dir=tmp_path / "model", teacher_model_dir=folder, **flags
        )  # fmt: skip
    values = {
        "model_dir": str(folder), "task_name": "sst-2", "data_dir": str(data),
        "output_dir": str(tmp_path / "small"), "finetuned": True,
    }  # fmt: skip
    with pytest.raises(UserError, match="has no pooler, whose gradients --method=two_sided needs"):
        factorize.main(factorize.Options(given=frozenset(values), **values))


def test_a_teacher_who_reads_other_ids_is_refused(model, data, tmp_path):
    flags = {
        "do_train": True, "data_dir": data, "output_dir": tmp_path / "out",
        "model_dir": tmp_path / "model", "num_train_epochs": 1.0, **FLAGS,
    }  # fmt: skip
    teacher = save(model, tmp_path / "hf")
    tiny.run(teacher_model_dir=teacher, **flags)
    settings = json.loads((teacher / "tokenizer_config.json").read_text())
    settings["strip_accents"] = False
    (teacher / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"has strip_accents=False, the student True: give a te"):
        tiny.run(teacher_model_dir=teacher, **{**flags, "output_dir": tmp_path / "other"})
    tokens = [*tiny.TOKENS]
    tokens[5], tokens[6] = tokens[6], tokens[5]
    (teacher / "vocab.txt").write_text("\n".join(tokens) + "\n")
    with pytest.raises(
        UserError, match=r"token 5 of .*vocab.txt is 'great', the student's is 'goo"
    ):
        tiny.run(teacher_model_dir=teacher, **{**flags, "output_dir": tmp_path / "other"})


def pretrain(folder, data, output, **flags):
    paths = {"model_dir": folder, "data_dir": data, "output_dir": output}
    values = {**{flag: str(path) for flag, path in paths.items()}, **flags}
    return pretraining.run(PretrainingOptions(given=frozenset(values), **values))


def test_pretraining_does_not_take_the_tied_decoder_for_the_untied(model, tmp_path, caplog):
    rows = tiny.make_rows(tmp_path / "rows")
    folder = save(model, tmp_path / "hf", tie_word_embeddings=False)
    message = rf"holds no {HEAD}/.*\(masked-LM head, not taken: tie_word_.*which --do_eval needs"
    with pytest.raises(UserError, match=message):
        pretrain(folder, rows, tmp_path / "eval", do_eval=True)
    with caplog.at_level("INFO", logger="absl"):
        pretrain(folder, rows, tmp_path / "run", do_train=True, budget="1steps")
    assert "masked-LM head, not taken: tie_word_embeddings is false" in caplog.text
    assert f"at initialisation  {HEAD}/transform/dense/" in caplog.text


def test_a_tied_head_is_evaluated_a_missing_one_is_not(model, tmp_path):
    rows = tiny.make_rows(tmp_path / "rows")
    folder = save(model, tmp_path / "hf", ["bert/pooler/"])  # which no masked word needs
    assert pretrain(folder, rows, tmp_path / "eval", do_eval=True)["metrics"]
    with pytest.raises(UserError, match=rf"holds no {HEAD}/.*, which --do_eval needs: give a pre"):
        pretrain(tmp_path / "model", rows, tmp_path / "eval", do_eval=True)


def test_the_vocabulary_wins_over_the_name_of_a_folder_above(tmp_path, data):
    tokens = [*tiny.TOKENS, *(f"Word{i}" for i in range(1000))]
    above = tmp_path / "bert-base-uncased-experiments"
    folder = tiny.make_model(above / "mine", tokens)
    flags = {"do_train": True, "data_dir": data, "num_train_epochs": 1.0, **FLAGS}
    message = r"is cased \(the vocabulary has many tokens with capital letters\)"
    for source in ({"model_dir": folder}, {"model_dir": folder / "bert_model.ckpt"}):
        with pytest.raises(UserError, match=message):
            tiny.run(output_dir=tmp_path / "out", do_lower_case=True, **source, **flags)
    tiny.run(output_dir=tmp_path / "out", do_lower_case=False, model_dir=folder, **flags)
    assert load_model(tmp_path / "out").do_lower_case is False


def test_a_run_from_a_copied_output_folder(model, data, tmp_path):
    """Google's output folder of another machine, of which one checkpoint is named."""
    copied = save_model_folder(tmp_path / "copied", model.config, model.arrays, model.vocab_file)
    for file in copied.glob("bert_model.ckpt.*"):
        file.unlink()
    for step in (100, 200):
        arrays = {**model.arrays, "global_step": np.int64(step)}
        arrays["output_bias"] = np.float32([step, 0])
        google.write_checkpoint(copied / f"model.ckpt-{step}", arrays)
    (copied / "checkpoint").write_text('model_checkpoint_path: "/gone/out/model.ckpt-100"\n')
    flags = {"do_predict": True, "data_dir": data, "output_dir": tmp_path / "out", **FLAGS}
    tiny.run(model_dir=copied, **flags)
    assert load_model(copied).arrays["output_bias"].tolist() == [100, 0]
    for file in copied.glob("model.ckpt-100.*"):
        file.unlink()
    with pytest.raises(UserError, match=r"copied/model.ckpt-200 for example"):
        tiny.run(model_dir=copied, **flags)


def test_a_tokenizer_json_alone_is_no_vocabulary(model, data, tmp_path):
    folder = save(model, tmp_path / "hf")
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text('{"model": {"type": "WordPiece", "vocab": {}}}')
    with pytest.raises(
        UserError, match=r"holds tokenizer.json and no vocab.txt: write its model.v"
    ):
        tiny.run(
            do_eval=True, model_dir=folder, data_dir=data, output_dir=tmp_path / "out", **FLAGS
        )  # fmt: skip
