"""benchmarks.pretraining: both systems train the same model on the same text."""

import numpy as np
import pytest

from benchmarks.pretraining import growth
from benchmarks.pretraining.worker import Setup, Variant, make_trainer
from tests import needs, tiny


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    from bert_tf.data.pretraining import create
    from bert_tf.data.pretraining.options import PretrainingDataOptions

    folder = tmp_path_factory.mktemp("data")
    rows = tiny.make_rows(folder / "data", seq_length=32)
    lines = tiny.sentences(80)[0]
    lines[4::5] = [""] * len(lines[4::5])  # four short sentences per document
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    values = {
        "input_file": str(folder / "text.txt"), "output_file": str(folder / "google"),
        "vocab_file": str(rows / "vocab.txt"), "max_seq_length": 32, "short_seq_prob": 1.0,
    }  # fmt: skip
    create.run(PretrainingDataOptions(given=frozenset(values), **values))
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "max_position_embeddings": 64}
    return Setup(str(rows), values["output_file"], shape, batch_size=4, seed=3)


@needs.tf_models
def test_both_train_the_same_model_and_count_its_tokens(setup):
    with tiny.eagerly():
        trainers = {
            name: make_trainer(setup, Variant.parse(name))
            for name in (
                "official-records-float32",
                "official-packed-float32",
                "ours-packed-float32",
            )
        }
        logits = [trainer.logits() for trainer in trainers.values()]
        taken = {name: trainer.run(2) for name, trainer in trainers.items()}
        after = [trainer.logits() for trainer in trainers.values()]
    for other in logits[1:]:
        np.testing.assert_allclose(other, logits[0], atol=1e-5)
    assert all(np.abs(b - a).max() > 0 for a, b in zip(logits, after, strict=True))
    assert taken["ours-packed-float32"]["tokens"] == 2 * 4 * 32
    assert taken["official-packed-float32"]["tokens"] == 2 * 4 * 32
    assert 0 < taken["official-records-float32"]["tokens"] < 2 * 4 * 32  # padding does not count


@pytest.mark.parametrize("name", ["ours-records-float32", "ours-packed", "theirs-packed-float32"])
def test_other_variants_are_refused(name):
    with pytest.raises(ValueError, match="expected"):
        Variant.parse(name)


def test_repeated_text_has_its_size_and_whole_lines(tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("one two\nthree\n")
    grown = growth.repeat_text(source, tmp_path / "grown.txt", 1)
    assert 1_000_000 <= grown.stat().st_size < 1_000_010
    assert set(grown.read_text().split("\n")) == {"one two", "three", ""}
