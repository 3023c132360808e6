"""DistilBERT, ELECTRA and a BERT of narrow embeddings in every program: they learn, are cut."""

import pathlib

import numpy as np
import pytest
import safetensors.numpy

import augment_data
import export_subnetwork
import factorize
import remove_mask
from bert_tf import pretraining
from bert_tf.augmentation.options import AugmentationOptions
from bert_tf.checkpoints import convert
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.export import source as export_source
from bert_tf.export.computation import model_runner
from bert_tf.pretraining.options import PretrainingOptions
from tests import tiny
from tests.checkpoints import theirs

SHAPE = {"vocab_size": len(tiny.TOKENS), "max_position_embeddings": 32}
KINDS = {
    "distilbert": {"dim": 16, "n_heads": 2, "hidden_dim": 32},
    "electra": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32},
    "narrow": {"embedding_size": 6},
}
OF_OTHERS = ("distilbert", "electra")  # whose form Hugging Face has
EVALUATE = {"task_name": "sst-2", "max_seq_length": 16, "eval_batch_size": 32, "do_eval": True}
TRAIN = {
    **EVALUATE, "do_train": True, "train_batch_size": 8, "num_train_epochs": 1.0,
    "learning_rate": 1e-3,
}  # fmt: skip
LEARN = {**TRAIN, "train_batch_size": 32, "num_train_epochs": 8.0, "learning_rate": 2e-2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_sst2(tmp_path_factory.mktemp("data") / "sst2", train=160, dev=40)


def random_model(folder, kind):
    """A model of two layers with random weights: a Hugging Face folder, or ours."""
    if kind == "narrow":
        return tiny.make_model(folder, num_hidden_layers=2, **KINDS[kind])
    config = {**theirs.PLAIN[kind], **SHAPE, **KINDS[kind]}
    tensors = theirs.random_tensors(theirs.shapes(config))
    tensors = {n: x if "orm.weight" in n else x / 4 for n, x in tensors.items()}
    return theirs.write(folder, config, tensors, tiny.TOKENS)


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    """{kind: output folder of a run on random weights}, and the results of the runs."""
    root = tmp_path_factory.mktemp("tuned")
    with tiny.eagerly():
        results = {
            kind: tiny.run(
                model=random_model(root / f"{kind}_random", kind), data_dir=data,
                output_dir=root / kind, **{**LEARN, **tiny.WITHOUT_DROPOUT},
            )
            for kind in KINDS
        }  # fmt: skip
    return {kind: root / kind for kind in KINDS}, results


def program(module, **values):
    values = {name: str(v) if isinstance(v, pathlib.Path) else v for name, v in values.items()}
    module.main(module.Options(given=frozenset(values), **values))


def logits(folder):
    source = export_source.of(load_model(folder))
    return model_runner(source)(export_source.random_inputs(source.config, (4, 9)))["logits"]


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_learns(tuned, kind):
    assert tuned[1][kind]["metrics"]["dev"]["accuracy"] == 1.0


@pytest.mark.parametrize("kind", OF_OTHERS)
def test_a_tuned_model_is_a_classifier_of_its_own_family(tuned, kind, tmp_path):
    """Hugging Face's class for it computes what the model computed here, head included."""
    convert.convert(load_model(tuned[0][kind]), tmp_path / "out", "huggingface")
    tensors = safetensors.numpy.load_file(tmp_path / "out" / "model.safetensors")
    config = {**theirs.PLAIN[kind], **SHAPE, **KINDS[kind]}
    assert set(tensors) == set(theirs.shapes(config, labels=2))
    inputs = export_source.random_inputs(load_model(tuned[0][kind]).config, (4, 9))
    values = [inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")]
    last = theirs.hidden_states(config, tensors, *values)[-1]
    np.testing.assert_allclose(
        theirs.logits(config, tensors, last), logits(tuned[0][kind]), atol=1e-4
    )
    np.testing.assert_array_equal(logits(tmp_path / "out"), logits(tuned[0][kind]))


@pytest.mark.parametrize("kind", OF_OTHERS)
def test_pairs_are_cut_masked_frozen_and_exported(tuned, data, kind, tmp_path):
    """From the tuned model through the levers; each program takes what the one before wrote."""
    common = {**TRAIN, "data_dir": data, "max_train_examples": 16}
    with tiny.eagerly(), tiny.without_pictures():
        program(factorize, model=tuned[0][kind], output_dir=tmp_path / "pairs")
        tiny.run(
            model_dir=tmp_path / "pairs", output_dir=tmp_path / "masked", target_sparsity=0.5,
            freeze_layers=1, activation_cache="memory", **common,
        )  # fmt: skip
        program(
            remove_mask, model=tmp_path / "masked", output_folder_dir=tmp_path / "compact",
            target_sparsity=0.5,
        )  # fmt: skip
        tiny.run(
            model_dir=tuned[0][kind], output_dir=tmp_path / "elastic",
            training_phase="dynabertw", width_mult_list="0.5,1.0", **common,
        )  # fmt: skip
        program(
            export_subnetwork, model=tmp_path / "elastic", width=0.5, output_dir=tmp_path / "half",
        )  # fmt: skip
        results = tiny.run(
            model=tmp_path / "compact", data_dir=data, output_dir=tmp_path / "evaluated", **EVALUATE
        )
    assert results["metrics"]["dev"]["accuracy"] > 0.5
    pairs, masked = (load_model(tmp_path / name).arrays for name in ("pairs", "masked"))
    for name in (name for name in pairs if name.startswith("bert/embeddings")):
        np.testing.assert_array_equal(masked[name], pairs[name])  # ELECTRA's projection, too
    np.testing.assert_allclose(logits(tmp_path / "pairs"), logits(tuned[0][kind]), atol=1e-3)
    half = load_model(tmp_path / "half")
    assert half.config.num_attention_heads == 1
    for key in ("type_vocab_size", "embedding_size", "pooler_act"):
        assert getattr(half.config, key) == getattr(load_model(tuned[0][kind]).config, key)
    convert.convert(half, tmp_path / "theirs", "huggingface")
    np.testing.assert_allclose(logits(tmp_path / "theirs"), logits(tmp_path / "half"), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_autofreeze_freezes_their_layers(kind, data, tmp_path):
    with tiny.eagerly():
        results = tiny.run(
            model=random_model(tmp_path / "model", kind), data_dir=data,
            output_dir=tmp_path / "out",
            freeze_policy="autofreeze", num_intervals=8, percentile=100.0,
            activation_cache="memory", **{**TRAIN, "max_train_examples": 64},
        )  # fmt: skip
    assert results["global_step"] == 8
    assert results["freezing"]["frozen_layers"] == 1


@pytest.mark.parametrize("kind", OF_OTHERS)
def test_masked_lm_training_goes_on_and_says_what_words_may_become(kind, data, tmp_path):
    values = {
        "do_train": True, "model": str(random_model(tmp_path / "model", kind)),
        "data_dir": str(tiny.make_rows(tmp_path / "rows")), "output_dir": str(tmp_path / "out"),
        "num_train_steps": 3, "num_warmup_steps": 1, "train_batch_size": 8,
    }  # fmt: skip
    with tiny.eagerly():
        results = pretraining.run(PretrainingOptions(given=frozenset(values), **values))
    assert results["global_step"] == 3
    out = load_model(tmp_path / "out")
    assert export_source.of(out).kind == "masked_lm"
    assert logits(tmp_path / "out").shape == (4, 9, len(tiny.TOKENS))
    values = {
        "model": str(tmp_path / "out"), "task_name": "sst-2", "data_dir": str(data),
        "variants": 1, "max_train_examples": 2, "output_file": str(tmp_path / "variants.tsv"),
    }  # fmt: skip
    with tiny.eagerly():
        augment_data.main(AugmentationOptions(given=frozenset(values), **values))
    assert (tmp_path / "variants.tsv").stat().st_size


def test_a_pair_of_texts_needs_no_token_types(tmp_path):
    """DistilBERT tells the two by [SEP]; a model of one type only knows single texts."""
    data = tiny.make_stsb(tmp_path / "stsb")
    flags = {**TRAIN, "task_name": "sts-b", "data_dir": data, "max_train_examples": 8}
    with tiny.eagerly():
        model = random_model(tmp_path / "model", "distilbert")
        teacher = tiny.run(model=model, output_dir=tmp_path / "teacher", **flags)
        assert teacher["global_step"] == 1
        student = tiny.make_model(tmp_path / "student")
        results = tiny.run(
            model=student, teacher_model_dir=tmp_path / "teacher", output_dir=tmp_path / "out",
            **flags,
        )  # fmt: skip
    assert results["global_step"] == 1
