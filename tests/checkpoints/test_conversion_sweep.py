"""Random small models through random chains of conversions: the same model, or one clear line."""

import dataclasses
import re

import h5py
import numpy as np
import pytest

from bert_tf.checkpoints import head, names, shapes, tokenizer_files
from bert_tf.checkpoints.convert import FORMATS, convert
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.checkpoints.model_tokenizer import settings_of
from bert_tf.config import ACTIVATIONS, BertConfig
from bert_tf.encoder.kernels import factorized_ranks
from bert_tf.errors import UserError
from bert_tf.pruning import factorization
from tests import needs

CHAINS = 12
WRITABLE = [name for name in FORMATS if name != "tf_models" or needs.HAS_TF_MODELS]
SHAPE = [f.name for f in dataclasses.fields(BertConfig) if f.name not in ("use_bias", "extra")]
HEADS = {
    "classifier": ("output_weights", "output_bias"),
    "masked_lm": ("cls/predictions/",),
    "next_sentence": ("cls/seq_relationship/",),
    "squad": ("cls/squad/",),
}
LABELS = (
    ["0", "1"],
    ["contradiction", "entailment", "neutral"],
    ["LABEL_1", "LABEL_0"],
    ["ja", "nein", "vielleicht", "weiß nicht"],
)


H5_NAMES = (
    ("layer_", "layer_._"),
    ("word_embeddings", "word_embeddings/weight"),
    ("(position|token_type)_embeddings", r"\1_embeddings/embeddings"),
    ("^cls/squad/output_weights", "qa_outputs/kernel"),
    ("^cls/squad/output_bias", "qa_outputs/bias"),
    ("^cls/seq_relationship/output_weights", "nsp___cls/seq_relationship/kernel"),
    ("^cls/seq_relationship/output_bias", "nsp___cls/seq_relationship/bias"),
    ("^cls/predictions/output_bias", "mlm___cls/predictions/bias"),
    ("^cls/predictions/", "mlm___cls/predictions/"),
    ("^output_weights", "classifier/kernel"),
    ("^output_bias", "classifier/bias"),
)


def random_config(rng):
    heads = int(rng.integers(1, 5))
    return BertConfig(
        vocab_size=int(rng.integers(7, 20)),
        hidden_size=heads * int(rng.integers(1, 6)),
        num_hidden_layers=int(rng.integers(1, 4)),
        num_attention_heads=heads,
        intermediate_size=int(rng.integers(3, 12)),
        max_position_embeddings=int(rng.integers(8, 20)),
        type_vocab_size=int(rng.integers(1, 4)),
        hidden_act=str(rng.choice(ACTIVATIONS)),
        hidden_dropout_prob=float(rng.choice([0.0, 0.1, 0.3])),
        layer_norm_eps=float(rng.choice([1e-12, 1e-5])),
        norm_position="pre" if rng.random() < 0.15 else "post",
        gated_ffn=bool(rng.random() < 0.15),
        use_bias=bool(rng.random() < 0.8),
    )


def random_task(rng):
    """(number of outputs, dict of task.json or None, extra keys of the configuration)."""
    kind = rng.choice(["task", "regression", "names", "fine-tuned again", "nothing"])
    labels = LABELS[rng.integers(len(LABELS))]
    if kind == "nothing":
        return len(labels), None, {}
    if kind == "regression":
        return 1, {"task_name": "custom", "labels": None, "do_lower_case": True}, {}
    if kind == "task":
        return len(labels), {"task_name": "custom", "labels": labels}, {}
    table = {str(i): label for i, label in enumerate(labels)}
    extra = {"id2label": table, "problem_type": "single_label_classification"}
    if kind == "names":
        return len(labels), None, extra
    labels = [None, *LABELS][rng.integers(1 + len(LABELS))]  # the names are those of the old head
    return len(labels or "1"), {"task_name": "custom", "labels": labels}, extra


def random_model(rng, folder):
    """Writes a random model folder; returns its `LoadedModel`."""
    config = random_config(rng)
    outputs, task, extra = random_task(rng)
    found = {
        **names.encoder_shapes(config),
        **{n: tuple(d or outputs for d in s) for n, s in names.head_shapes(config).items()},
    }
    for kind, prefixes in HEADS.items():
        if rng.random() < (0.3 if kind == "classifier" else 0.6):
            found = {n: s for n, s in found.items() if not n.startswith(prefixes)}
    if rng.random() < 0.15 and "cls/seq_relationship/output_bias" not in found:
        found = {n: s for n, s in found.items() if not n.startswith("bert/pooler/")}
    if "output_weights" not in found:
        task, extra = None, {}
    for setting in tokenizer_files.SETTINGS:
        if rng.random() < 0.5:
            extra = {**extra, setting: bool(rng.random() < 0.5)}
    arrays = {n: rng.normal(size=s).astype(np.float32) for n, s in found.items()}
    config = config.replace(extra=extra)
    if rng.random() < 0.2:
        config, arrays, _ = factorization.factorize(config, arrays)
    vocab = None
    if rng.random() < 0.8:
        folder.parent.mkdir(parents=True)
        vocab = folder.with_suffix(".txt")
        vocab.write_text("".join(f"w{i}é\n" for i in range(config.vocab_size)), encoding="utf-8")
    return load_model(save_model_folder(folder, config, arrays, vocab, task))


def write_as_h5(folder, arrays):
    """Puts tf_model.h5, as Hugging Face's TensorFlow classes save it, in place of the weights."""
    with h5py.File(folder / "tf_model.h5", "w") as file:
        for name, value in arrays.items():
            if name.endswith("output_weights"):  # theirs are [hidden, labels]
                value = value.T
            for ours, theirs in H5_NAMES:
                name = re.sub(ours, theirs, name)
            file[f"tf_bert/{name}:0"] = value
    (folder / "model.safetensors").unlink()


def labels_of(model):
    """(names of the outputs in their order or None, whether it is a regression); None: no head."""
    found = head.describe(model)
    return found and (found.labels, found.regression)


def assert_same(found, expected, left, kept_task):
    """Asserts that a converted model is the one it was made of."""
    wanted = {n: a for n, a in expected.arrays.items() if n not in left}
    if found.config.use_bias and not expected.config.use_bias:
        _, wanted = shapes.with_biases(expected.config, wanted)
    assert set(found.arrays) == set(wanted)
    assert all(found.arrays[n].tobytes() == wanted[n].tobytes() for n in wanted)
    assert all(getattr(found.config, n) == getattr(expected.config, n) for n in SHAPE)
    assert found.do_lower_case == expected.do_lower_case
    assert settings_of(found) == settings_of(expected)
    assert labels_of(found) == labels_of(expected)
    assert not kept_task or found.task == expected.task
    assert (found.vocab_file is None) == (expected.vocab_file is None)
    if found.vocab_file:
        with open(found.vocab_file, "rb") as a, open(expected.vocab_file, "rb") as b:
            assert a.read() == b.read()


def may_refuse(model, output_format):
    """Why another format cannot hold the model, a part of the message; None where it can."""
    if output_format == "google":
        return None
    if factorized_ranks(model.config, model.arrays):
        return "cannot hold a factorised or compact model"
    if model.config.norm_position == "pre":
        return "cannot hold a pre-LN model"
    if model.config.gated_ffn:
        return "cannot hold gated feed-forward layers"
    if output_format == "tf_models" and "bert/pooler/dense/kernel" not in model.arrays:
        return "the model has no pooler"
    return None


def run_chain(seed, root):
    """One random model through up to four conversions; returns the formats it went through."""
    rng = np.random.default_rng(seed)
    model, done = random_model(rng, root / "model"), []
    for step in range(rng.integers(1, 5)):
        output_format, folder = str(rng.choice(WRITABLE)), root / str(step)
        why = may_refuse(model, output_format)
        if why:
            with pytest.raises(UserError, match=why) as error:
                convert(model, folder, output_format)
            assert "\n" not in str(error.value)
            assert not folder.exists()
            return [*done, "refused"]
        report = convert(model, folder, output_format)
        new = load_model(folder)
        if output_format == "huggingface" and rng.random() < 0.4:
            write_as_h5(folder, new.arrays)
            assert_same(load_model(folder), new, (), kept_task=True)
        left = {n for n in report.left if n in model.arrays}
        assert all(n.startswith("cls/s") for n in left), left  # of squad, or the next sentence
        assert_same(new, model, left, kept_task=output_format != "huggingface")
        model = new
        done.append(output_format)
    return done


def sweep(seeds, tmp_path):
    seen = set()
    for seed in seeds:
        try:
            seen.update(run_chain(seed, tmp_path / str(seed)))
        except Exception as e:
            raise AssertionError(f"chain {seed}: {e}") from e
    assert seen == {*WRITABLE, "refused"}


def test_chains_of_conversions(tmp_path):
    sweep(range(CHAINS), tmp_path)


@pytest.mark.slow
def test_many_chains_of_conversions(tmp_path):
    sweep(range(1000, 1400), tmp_path)
