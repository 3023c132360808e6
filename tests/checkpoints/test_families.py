"""DistilBERT, ELECTRA and other relatives of BERT: what they compute, conversion, refusals."""

import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from bert_tf.checkpoints import convert, google, model_folder, names
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder
from bert_tf.errors import UserError
from bert_tf.export import source as export_source
from bert_tf.export.computation import model_runner
from tests import needs, tiny
from tests.checkpoints import theirs

SWITCHES = {
    "electra": {
        "narrow": {},
        "square": {"embedding_size": 12, "hidden_act": "relu", "num_attention_heads": 2},
        "wide": {
            "embedding_size": 20, "hidden_act": "gelu_new", "type_vocab_size": 3,
            "num_hidden_layers": 3, "layer_norm_eps": 1e-5,
        },
        "one_type": {"type_vocab_size": 1, "hidden_size": 16, "num_attention_heads": 1},
    },
    "distilbert": {
        "plain": {},
        "tanh_gelu": {"activation": "gelu_new", "n_layers": 3, "n_heads": 4},
        "relu": {"activation": "relu", "n_heads": 1, "hidden_dim": 7},
        "positions": {"sinusoidal_pos_embds": True, "max_position_embeddings": 9, "dim": 6},
    },
}  # fmt: skip
CASES = [(kind, name) for kind, cases in SWITCHES.items() for name in cases]
HEADS = {"none": {}, "labels": {"labels": 3}, "masked_lm": {"masked_lm": True}}


def model_of(tmp_path, kind, changes=None, seed=0, **heads):
    """(config.json's dict, tensors, folder) of a random model."""
    config = {**theirs.PLAIN[kind], **(changes or {})}
    if heads.get("labels"):
        title = {"electra": "Electra", "distilbert": "DistilBert"}[kind]
        config["architectures"] = [f"{title}ForSequenceClassification"]
        config["id2label"] = {"0": "no", "1": "maybe", "2": "yes"}
    tensors = theirs.random_tensors(theirs.shapes(config, **heads), seed)
    return config, tensors, theirs.write(tmp_path / kind, config, tensors)


def rows(config):
    """Random {name: int array [4, 9]}, some of the rows padded."""
    rng = np.random.default_rng(3)
    lengths = np.array([9, 5, 1, 8])[:, None]
    types = rng.integers(config.get("type_vocab_size", 2), size=(4, 9))
    mask = (np.arange(9) < lengths).astype(np.int64)
    ids = rng.integers(config["vocab_size"], size=(4, 9))
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_hidden_states_are_those_of_an_independent_computation(tmp_path, kind, name):
    config, tensors, folder = model_of(tmp_path, kind, SWITCHES[kind][name])
    ids, mask, types = rows(config).values()
    expected = theirs.hidden_states(config, tensors, ids, mask, types)
    model = model_folder.load_model(folder)
    assert model.left == {}
    encoder = BertEncoder(model.config)
    encoder({"input_word_ids": tf.zeros([1, 1], tf.int32)})
    for variable in encoder.variables:
        if "pooler" not in variable.name:
            variable.assign(model.arrays[variable.name.split(":")[0]])
    embedded = encoder.embed(ids, types)
    _, found = encoder.transform(embedded, mask)
    real = mask.astype(bool)
    for one, other in zip([embedded, *found], expected, strict=True):
        np.testing.assert_allclose(one.numpy()[real], other[real], atol=1e-4)


@pytest.mark.parametrize("kind", SWITCHES)
@pytest.mark.parametrize("head", ["labels", "masked_lm"])
def test_heads_compute_what_theirs_do(tmp_path, kind, head):
    config, tensors, folder = model_of(tmp_path, kind, **HEADS[head])
    inputs = rows(config)
    last = theirs.hidden_states(config, tensors, *inputs.values())[-1]
    compute = theirs.logits if head == "labels" else theirs.masked_lm_logits
    expected = compute(config, tensors, last)
    source = export_source.of(model_folder.load_model(folder))
    assert source.labels == (["no", "maybe", "yes"] if head == "labels" else None)
    found = model_runner(source)(inputs)["logits"]
    real = ... if head == "labels" else inputs["attention_mask"].astype(bool)
    np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("head", HEADS)
def test_conversion_both_ways_is_bit_exact(tmp_path, kind, name, head):
    config, tensors, folder = model_of(tmp_path, kind, SWITCHES[kind][name], **HEADS[head])
    if head == "masked_lm" and kind == "electra" and config["hidden_act"] != "gelu":
        pytest.skip("the head has gelu, whatever the layers have")
    convert.convert(model_folder.load_model(folder), tmp_path / "ours")
    model = model_folder.load_model(tmp_path / "ours")
    report = convert.convert(model, tmp_path / "back", "huggingface")
    assert report.left == {}
    tiny.assert_same_bits(
        safetensors.numpy.load_file(tmp_path / "back" / "model.safetensors"), tensors
    )
    back = json.loads((tmp_path / "back" / "config.json").read_text())
    unknown = {"sinusoidal_pos_embds", "tie_weights_"}
    expected = {**config, "architectures": back["architectures"]}
    if kind == "electra":
        expected["position_embedding_type"] = "absolute"
    assert {k: v for k, v in expected.items() if back.get(k) != v and k not in unknown} == {}
    suffix = {"none": "Model", "labels": "ForSequenceClassification", "masked_lm": "ForMaskedLM"}
    title = {"electra": "Electra", "distilbert": "DistilBert"}[kind]
    assert back["architectures"] == [title + suffix[head]]
    tokenizer = json.loads((tmp_path / "back" / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == f"{title}Tokenizer"


@pytest.mark.parametrize("kind", SWITCHES)
def test_names_without_the_models_own(tmp_path, kind, same):
    """As AutoModel and sentence-transformers save them, and with a prefix of somebody else's."""
    config, tensors, folder = model_of(tmp_path, kind)
    expected = model_folder.load_model(folder).arrays
    bare = {name.removeprefix(f"{kind}."): value for name, value in tensors.items()}
    same(model_folder.load_model(theirs.write(tmp_path / "bare", config, bare)).arrays, expected)
    other = {f"model.{name}": value for name, value in tensors.items()}
    found = model_folder.load_model(theirs.write(tmp_path / "other", config, other))
    same(found.arrays, expected)
    assert "began with model." in found.remarks[0]


def tensorflow_name(name, kind):
    """The name that Hugging Face's TensorFlow class gives a tensor of its PyTorch class."""
    path, leaf = name.rsplit(".", 1)
    path = path.replace("layer.", "layer_._").replace(".", "/").replace("_/_", "_._")
    path = path.replace("layer_/_", "layer_._")
    if path.endswith("norm") or path.endswith("LayerNorm"):
        leaf = {"weight": "gamma", "bias": "beta"}[leaf]
    elif leaf == "weight":
        leaf = "embeddings" if path.endswith("_embeddings") else "kernel"
    return f"{path.split('/')[0]}/tf_{kind}_for_1/{path}/{leaf}:0"


@pytest.mark.parametrize("kind", SWITCHES)
@pytest.mark.parametrize("head", HEADS)
def test_weights_of_their_tensorflow_classes(tmp_path, kind, head, same):
    config, tensors, folder = model_of(tmp_path, kind, **HEADS[head])
    turned = {
        tensorflow_name(name, kind): np.ascontiguousarray(
            value.T if tensorflow_name(name, kind).endswith("/kernel:0") else value
        )
        for name, value in tensors.items()
    }
    if head == "masked_lm":  # Keras saves a tied table with each layer that has it
        table = tensorflow_name(f"{kind}.embeddings.word_embeddings.weight", kind)
        turned[table.replace(kind, "vocab_projector", 1)] = turned[table]
    found = model_folder.load_model(theirs.write(tmp_path / "tf", config, turned))
    same(found.arrays, model_folder.load_model(folder).arrays)
    assert found.left == {}


def test_electras_discriminator_is_left_and_named(tmp_path):
    config, tensors, folder = model_of(tmp_path, "electra")
    extra = {"discriminator_predictions.dense.weight": np.zeros([12, 12], np.float32)}
    theirs.write(folder, config, {**tensors, **extra})
    left = model_folder.load_model(folder).left
    assert left == {next(iter(extra)): "finds replaced tokens, which no program here trains"}


def test_a_generators_head_of_another_activation_is_left(tmp_path):
    """ELECTRA's generator has gelu in its head whatever hidden_act is: ours has hidden_act."""
    _, tensors, folder = model_of(tmp_path, "electra", {"hidden_act": "relu"}, masked_lm=True)
    model = model_folder.load_model(folder)
    assert set(model.left) == {name for name in tensors if name.startswith("generator_")}
    assert "its activation is gelu_erf, the model's relu" in next(iter(model.left.values()))
    head = {name: np.zeros(shape, np.float32) for name, shape in head_shapes(model.config)}
    whole = model_folder.LoadedModel(model.config, {**model.arrays, **head}, "m")
    report = convert.convert(whole, tmp_path / "out", "huggingface")
    assert set(report.left) == set(head)


def head_shapes(config):
    shapes = names.head_shapes(config).items()
    return [(name, shape) for name, shape in shapes if name.startswith("cls/predictions/")]


def test_an_untied_decoder_is_left(tmp_path):
    config, tensors, folder = model_of(tmp_path, "distilbert", masked_lm=True)
    theirs.write(folder, config, {**tensors, "vocab_projector.weight": np.ones([40, 12], "f4")})
    model = model_folder.load_model(folder)
    assert len(model.left) == 6 and not any(n.startswith("cls/") for n in model.arrays)


def test_heads_of_tokens(tmp_path):
    """ELECTRA names the classifier of tokens otherwise than that of sentences."""
    config, tensors, folder = model_of(tmp_path, "electra")
    tokens = {"classifier.weight": np.ones([3, 12], "f4"), "classifier.bias": np.ones(3, "f4")}
    assert set(model_folder.load_model(theirs.write(folder, config, {**tensors, **tokens})).left)
    config = {**config, "architectures": ["ElectraForTokenClassification"]}
    model = model_folder.load_model(theirs.write(folder, config, {**tensors, **tokens}))
    assert model.left == {} and model.arrays["output_weights"].shape == (3, 12)
    convert.convert(model, tmp_path / "back", "huggingface")
    back = safetensors.numpy.load_file(tmp_path / "back" / "model.safetensors")
    tiny.assert_same_bits(back, {**tensors, **tokens})


def our_model(config, pooler=True, labels=0):
    """A random `LoadedModel` of a configuration."""
    rng = np.random.default_rng(1)
    shapes = names.encoder_shapes(config)
    if labels:
        shapes |= {"output_weights": (labels, config.hidden_size), "output_bias": (labels,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if not pooler:
        arrays = {name: x for name, x in arrays.items() if "pooler" not in name}
    return model_folder.LoadedModel(config, arrays, "m")


NARROW = BertConfig(
    vocab_size=40, hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
    intermediate_size=20, max_position_embeddings=16, type_vocab_size=2, embedding_size=5,
)  # fmt: skip


def test_what_no_family_has_is_refused(tmp_path):
    for config in (NARROW, NARROW.replace(embedding_size=None, pooler_act="relu")):
        with pytest.raises(UserError, match="cannot hold this model: its pooler's activation is"):
            convert.convert(our_model(config), tmp_path / "out", "huggingface")
    assert not (tmp_path / "out").exists()


def test_a_narrow_bert_without_pooler_is_an_electra(tmp_path, same):
    model = our_model(NARROW, pooler=False)
    convert.convert(model, tmp_path / "out", "huggingface")
    again = model_folder.load_model(tmp_path / "out")
    same(again.arrays, model.arrays)
    assert again.config == NARROW.replace(pooler_act="gelu_erf", extra=again.config.extra)


def test_a_bert_without_token_types_gets_a_table_of_zeros(tmp_path):
    config = NARROW.replace(embedding_size=None, type_vocab_size=0)
    model = our_model(config, labels=2)
    convert.convert(model, tmp_path / "out", "huggingface")
    again = model_folder.load_model(tmp_path / "out")
    assert again.config.type_vocab_size == 2
    inputs = rows({"vocab_size": 40})
    found, expected = (model_runner(export_source.of(m))(inputs)["logits"] for m in (again, model))
    np.testing.assert_array_equal(found, expected)


@needs.tf_models
@pytest.mark.parametrize("config", [NARROW, NARROW.replace(type_vocab_size=0)])
def test_narrow_embeddings_in_tf_models(tmp_path, config, same):
    model = our_model(config, labels=3)
    convert.convert(model, tmp_path / "out", "tf_models")
    again = model_folder.load_model(tmp_path / "out")
    types = {"bert/embeddings/token_type_embeddings": np.zeros([2, 5], np.float32)}
    same(again.arrays, {**types, **model.arrays})
    (tmp_path / "out" / "bert_config.json").unlink()
    inferred = model_folder.load_model(tmp_path / "out").config
    assert (inferred.embedding_size, inferred.hidden_size) == (5, 12)
    with pytest.raises(UserError, match="activation of the model's pooler is relu"):
        other = our_model(config.replace(pooler_act="relu"))
        convert.convert(other, tmp_path / "other", "tf_models")


def test_googles_own_electra_is_read_by_name(tmp_path, same):
    model = our_model(NARROW, pooler=False)
    renamed = {f"electra/{n.removeprefix('bert/')}": x for n, x in model.arrays.items()}
    google.write_checkpoint(tmp_path / "electra_small", renamed)
    NARROW.save(tmp_path / "bert_config.json")
    found = model_folder.load_model(tmp_path / "electra_small")
    same(found.arrays, model.arrays)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("roberta", "RoBERTa: its positions begin behind the padding's"),
        ("xlm-roberta", "XLM-RoBERTa: its positions"),
        ("mpnet", "MPNet: its scores have a bias by relative position"),
        ("modernbert", "ModernBERT: its positions are rotary"),
        ("deberta-v2", "DeBERTa: its attention"),
        ("albert", "ALBERT: all its layers share one set of weights"),
        ("t5", "found 't5': this program computes"),
    ],
)
def test_another_model_type_is_refused_with_the_reason(tmp_path, model_type, reason):
    config, tensors, folder = model_of(tmp_path, "bert")
    theirs.write(folder, {**config, "model_type": model_type}, tensors)
    with pytest.raises(UserError, match=reason) as refused:
        model_folder.load_model(folder)
    assert str(folder / "config.json") in str(refused.value)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("roberta.encoder.layer.0.output.dense.weight", "RoBERTa"),
        ("encoder.relative_attention_bias.weight", "MPNet"),
        ("deberta.encoder.rel_embeddings.weight", "DeBERTa"),
        ("model.layers.0.attn.Wqkv.weight", "ModernBERT"),
        ("encoder.albert_layer_groups.0.albert_layers.0.ffn.bias", "ALBERT"),
    ],
)
def test_another_model_is_known_by_its_tensors(tmp_path, name, title):
    """The oldest folders have no model_type, and a copied config.json has another model's."""
    config, tensors, folder = model_of(tmp_path, "bert")
    del config["model_type"]
    theirs.write(folder, config, {**tensors, name: np.zeros(3, np.float32)})
    with pytest.raises(UserError, match=f"{name} is a weight of {title}"):
        model_folder.load_model(folder)


def test_albert_of_googles_is_refused(tmp_path):
    arrays = our_model(NARROW).arrays
    scope = "bert/encoder/transformer/group_0/inner_group_0"
    google.write_checkpoint(
        tmp_path / "model.ckpt", {**arrays, f"{scope}/ffn_1/kernel": np.ones(2, "f4")}
    )
    NARROW.save(tmp_path / "bert_config.json")
    with pytest.raises(UserError, match="is a weight of ALBERT: all its layers share"):
        model_folder.load_model(tmp_path)


def test_without_model_type_the_class_decides(tmp_path, same):
    config, tensors, folder = model_of(tmp_path, "distilbert")
    expected = model_folder.load_model(folder).arrays
    del config["model_type"]
    same(model_folder.load_model(theirs.write(folder, config, tensors)).arrays, expected)
    config["architectures"] = ["XLMRobertaModel"]
    with pytest.raises(UserError, match="XLM-RoBERTa"):
        model_folder.load_model(theirs.write(folder, config, tensors))


def test_the_wrong_family_is_refused(tmp_path):
    _, tensors, folder = model_of(tmp_path, "distilbert")
    theirs.write(folder, theirs.BERT, tensors)
    with pytest.raises(UserError, match="tensors are those of a distilbert"):
        model_folder.load_model(folder)


MULTILINGUAL = [
    "Häuser",
    "##er",
    "und",
    "Москва",
    "дом",
    "##а",
    "東",
    "京",
    "the",
    "House",
    "é",
    "e",
]
CHINESE = ["这", "部", "电", "影", "很", "好", "坏", "##好", "film", "!"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize(
    ("words", "lower", "text", "pieces"),
    [
        (MULTILINGUAL, False, "Häuser und дома 東京 House", "Häuser und дом ##а 東 京 House"),
        (CHINESE, True, "这部电影很好! Film", "这 部 电 影 很 好 ! film"),
    ],
)
@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_vocabularies_of_other_languages(tmp_path, kind, words, lower, text, pieces):
    """Google's configurations have keys of a pooler that nothing reads; they are kept."""
    vocab = [*SPECIALS, *words]
    pooler = {"directionality": "bidi", "pooler_fc_size": 768, "pooler_type": "first_token"}
    config = {**theirs.PLAIN[kind], "vocab_size": len(vocab), **pooler}
    tensors = theirs.random_tensors(theirs.shapes(config, pooler=kind == "bert"))
    folder = theirs.write(tmp_path / "theirs", config, tensors, vocab)
    settings = json.dumps({"do_lower_case": lower})
    (folder / "tokenizer_config.json").write_text(settings)
    for output, form in (("ours", "google"), ("back", "huggingface"), ("again", "google")):
        convert.convert(model_folder.load_model(folder), tmp_path / output, form)
        folder = tmp_path / output
    model = model_folder.load_model(folder)
    tokenizer = tokenizer_of(model)
    ids = tokenizer.encode([text])["input_word_ids"].numpy()[0]
    assert [vocab[i] for i in ids] == ["[CLS]", *pieces.split(), "[SEP]"]
    assert (tmp_path / "back" / "vocab.txt").read_bytes() == pathlib.Path(
        tmp_path / "theirs" / "vocab.txt"
    ).read_bytes()
    back = safetensors.numpy.load_file(tmp_path / "back" / "model.safetensors")
    tiny.assert_same_bits(back, tensors)
