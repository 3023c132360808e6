import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.config import ACTIVATIONS, BertConfig
from bert_tf.errors import UserError

GOOGLES = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 30522,
}


def load(tmp_path, content):
    path = tmp_path / "bert_config.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return BertConfig.from_json_file(path)


def test_googles_file_and_defaults(tmp_path):
    config = load(tmp_path, GOOGLES)
    assert (config.hidden_size, config.head_size, config.hidden_act) == (768, 64, "gelu")
    assert config.extra == {"directionality": "bidi", "pooler_type": "first_token_transform"}
    short = load(tmp_path, {"vocab_size": 10})
    assert (short.num_hidden_layers, short.type_vocab_size, short.norm_position) == (12, 16, "post")


def test_a_saved_file_keeps_every_key(tmp_path):
    config = load(tmp_path, GOOGLES)
    config.save(tmp_path / "again.json")
    assert BertConfig.from_json_file(tmp_path / "again.json") == config
    text = (tmp_path / "again.json").read_text()
    assert json.loads(text).items() >= GOOGLES.items()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_activation_names_are_googles(tmp_path):
    for name in ACTIVATIONS:
        assert load(tmp_path, {"vocab_size": 1, "hidden_act": name.upper()}).hidden_act == name
    for name in ("", None):
        assert load(tmp_path, {"vocab_size": 1, "hidden_act": name}).hidden_act == "linear"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be an integer of 1 or more, found 0"),
        ({"num_hidden_layers": 2.5}, "num_hidden_layers must be an integer"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be an integer"),
        ({"num_attention_heads": 7}, "hidden_size 768 must be a multiple of num_attention_heads 7"),
        ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob must be a number in \[0, 1\)"),
        ({"attention_probs_dropout_prob": float("nan")}, "must be a number in"),
        ({"initializer_range": 0}, "initializer_range must be a number above 0"),
        ({"hidden_act": "swish"}, "hidden_act must be one of gelu, .* found 'swish'"),
        ({"norm_position": "middle"}, "norm_position must be one of post, pre"),
        ({"pruned_layers_dim": {"x": -1}}, "pruned_layers_dim must map kernel names"),
        ({"num_hidden_layer": 3, "num_hidden_layers": None}, "num_hidden_layers must be"),
    ],
)
def test_wrong_values_name_the_file_and_the_key(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as e:
        load(tmp_path, {**GOOGLES, **changes})
    assert str(e.value).startswith(str(tmp_path / "bert_config.json"))


def test_misspelt_and_missing_keys(tmp_path):
    with pytest.raises(UserError, match="'hiden_size': did you mean 'hidden_size'"):
        load(tmp_path, {"vocab_size": 10, "hiden_size": 32})
    with pytest.raises(UserError, match="vocab_size is missing"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "must be a JSON object, found list"),
        (b'{"vocab_size": "\xff"}', r"not UTF-8 text \(byte 16\)"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"vocab_size": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, content)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UserError, match="cannot read the model configuration"):
            BertConfig.from_json_file(path)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
_values = (
    _scalars
    | st.sampled_from([1, 2, 12, "gelu", "pre", 0.1])
    | st.recursive(
        _scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
        ),
        max_leaves=5,
    )
)
_keys = st.sampled_from([*GOOGLES, "extra", "norm_position", "pruned_layers_dim"]) | st.text(
    max_size=9
)
_objects = st.dictionaries(_keys, _values, max_size=8)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    content=st.binary(max_size=200)
    | _objects.map(lambda v: json.dumps(v).encode())
    | _objects.map(lambda v: json.dumps({**GOOGLES, **v}).encode())
)
def test_any_file_loads_or_is_refused_by_name(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_bytes(content)
    try:
        config = BertConfig.from_json_file(path)
    except UserError as e:
        assert str(e).startswith(str(path))
    else:
        assert config.hidden_size % config.num_attention_heads == 0
        assert BertConfig.from_dict(config.to_dict()) == config


def test_a_subnetwork_says_how_wide_each_layer_is():
    config = BertConfig.from_dict(
        {
            "vocab_size": 9, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
            "intermediate_size": 20, "attention_head_size": 3, "layer_heads": [3, 1],
            "layer_neurons": [7, 20],
        }
    )  # fmt: skip
    assert [config.units_of(layer) for layer in range(2)] == [(3, 7), (1, 20)]
    one = config.of_layer(1)
    assert (one.num_attention_heads, one.intermediate_size, one.head_size) == (1, 20, 3)
    assert BertConfig.from_dict(config.to_dict()) == config


def test_a_plain_model_does_not_say_it():
    config = BertConfig(vocab_size=9)
    assert config.of_layer(3) is config
    assert config.units_of(11) == (12, 3072)
    assert not {"attention_head_size", "layer_heads", "layer_neurons"} & set(config.to_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 5}, "768 must be a multiple of num_attention_heads 5"),
        ({"attention_head_size": 0}, "attention_head_size must be an integer of 1 or more"),
        ({"attention_head_size": 64.0}, "attention_head_size must be an integer"),
        ({"layer_heads": [1, 2]}, "layer_heads has 2 entries, num_hidden_layers is 12"),
        ({"layer_heads": [0] * 12}, "layer_heads must be a list of integers of 1 or more"),
        ({"layer_neurons": 7}, "layer_neurons must be a list of integers"),
    ],
)
def test_widths_that_cannot_be_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        BertConfig(vocab_size=9, **changes)
