"""run_tagger.py takes the levers of run_classifier.py."""

import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.pruning.factorization import factorize
from tests import tiny
from tests.tiny import tags


@pytest.mark.parametrize(
    "flags",
    [
        {"freeze_layers": 1, "activation_cache": "memory"},
        {"freeze_policy": "autofreeze", "num_intervals": 4, "activation_cache": "memory"},
        {"budget": "8steps", "num_train_epochs": None},
        {"teacher_model_dir": "tagger"},
        {"model_dir": "tagger", "training_phase": "dynabertw", "width_mult_list": "0.5,1.0"},
        {"model_dir": "factorized", "target_sparsity": 0.5},
        {"precision": "bfloat16"},
        {"pad_to_max_length": True, "train_token_budget": 128, "train_batch_size": None},
    ],
    ids=lambda flags: next(iter(flags)),
)
def test_it_takes_the_levers(flags, inputs, tagger, tmp_path):
    source = load_model(inputs["model_dir"])
    config, arrays, _ = factorize(source.config, source.arrays)
    save_model_folder(tmp_path / "factorized", config, arrays, source.vocab_file)
    folders = {"tagger": tagger, "factorized": tmp_path / "factorized"}
    flags = {**tags.FLAGS, **inputs, **{k: folders.get(v, v) for k, v in flags.items()}}
    flags = {name: value for name, value in flags.items() if value is not None}
    with tiny.eagerly(), tiny.without_pictures():
        results = tags.tag(**flags, output_dir=tmp_path / "out")
    assert results["global_step"] >= 8
    assert "bert/pooler/dense/kernel" not in tiny.arrays_of(tmp_path / "out")
    scalars, _ = tiny.read_events(tmp_path / "out")
    assert ("distillation_loss" in scalars) == ("tagger" in str(flags))
