"""Each pair of levers, and each lever on each kind of model: what docs/levers.md says of it."""

import functools
import itertools

import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pruning.factorization import compress, factorize
from tests import tiny
from tests.tiny import tags

PAGE = tiny.ROOT / "docs" / "levers.md"
FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "learning_rate": 1e-3,
    "eval_batch_size": 32,
    "save_checkpoints_steps": 2,
    "log_steps": 2,
}
DEEP = {"num_hidden_layers": 2}
EPOCHS, STEPS, KILLED_AT = 1.0, 4, 3
_CACHE = "--activation_cache keeps what the whole model computes, which a sub-network does not"
REFUSED = {
    ("masks", "AutoFreeze and cache"): "counts on its gates to the end",
    ("masks", "sub-networks"): "sub-networks cannot be trained beside masks",
    ("`--freeze_layers` and cache", "sub-networks"): _CACHE,
    ("AutoFreeze and cache", "sub-networks"): _CACHE,
}
LEVERS = {
    "masks": {"target_sparsity": 0.3, "alpha_learning_rate": 20.0, "learning_rate_warmup": 2},
    "teacher": {"teacher_model_dir": "teacher"},
    "`--freeze_layers` and cache": {"freeze_layers": 1, "activation_cache": "memory"},
    "AutoFreeze and cache": {
        "freeze_policy": "autofreeze",
        "num_intervals": 4,
        "activation_cache": "disk",
    },
    "`--budget`": {"budget": f"{STEPS}steps"},
    "sub-networks": {"width_mult_list": "0.5,1.0", "depth_mult_list": "0.5,1.0"},
}
# What a run with the lever tells that no other does: tags of TensorBoard, keys of results.json.
SEEN = {
    "masks": {"expected_sparsity", "sparsity_if_removed"},
    "teacher": {"distillation_loss"},
    "`--freeze_layers` and cache": {"freezing"},
    "AutoFreeze and cache": {"freezing", "freezing/frozen_layers"},
    "`--budget`": {"budget", "elapsed_share"},
    "sub-networks": {"dynabert"},
}


def tables():
    """The tables of the page: [{(row, column): cell}] of the cells that are not empty."""
    found = []
    for block in PAGE.read_text(encoding="utf-8").split("\n\n"):
        if not block.startswith("|"):
            continue
        header, _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        )
        cells = {(row[0], column): cell for row in rows
                 for column, cell in zip(header[1:], row[1:], strict=True)}  # fmt: skip
        found.append({key: cell for key, cell in cells.items() if cell})
    return found


PAIRS, MODELS, PROGRAMS = tables()


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Folders of models, teacher and data."""
    root = tmp_path_factory.mktemp("pairs")
    folders = {
        "dense": tiny.make_model(root / "dense", **DEEP),
        "pre-LN": tiny.make_model(root / "pre", **DEEP, extra={"norm_position": "pre"}),
        "teacher": tiny.make_classifier(root / "teacher", ["0", "1"], {"task_name": "sst-2"}),
        "data": tiny.make_sst2(root / "sst2", train=32),
        "features": root / "features",
    }
    for name, start, made in (
        ("factorised", "dense", factorize),
        ("compact", "dense", functools.partial(compress, target_sparsity=0.5)),
        ("pre-LN, factorised", "pre-LN", factorize),
    ):
        source = load_model(folders[start])
        config, arrays, _ = made(source.config, source.arrays)
        save_model_folder(root / name, config, arrays, source.vocab_file)
        folders[name] = root / name
    return folders


def flags_of(inputs, model, *levers):
    """Flags of a run with these levers that starts from that kind of model."""
    masks = "masks" in levers
    if masks:
        model = {"dense": "factorised", "pre-LN": "pre-LN, factorised"}.get(model, model)
    flags = {**FLAGS, "model_dir": inputs[model], "data_dir": inputs["data"]}
    flags["feature_dir"] = inputs["features"]
    if model in ("factorised", "compact"):
        flags["factorized"] = not masks
    if "`--budget`" not in levers:
        flags["num_train_epochs"] = EPOCHS
    for lever in levers:
        flags |= LEVERS[lever]
    if "teacher" in levers:
        flags["teacher_model_dir"] = inputs["teacher"]
    return flags


def check(flags, levers, folder):
    """It trains, goes on after a kill to the same end, and reports each lever."""
    cached = flags.get("activation_cache", "off") != "off"  # what is read anew rounds otherwise
    results = tiny.check_resume(flags, folder, KILLED_AT, atol=1e-4 if cached else 0.0)
    assert results["global_step"] == STEPS
    scalars, _ = tiny.read_events(folder / "resumed")
    for lever in levers:
        assert SEEN[lever] <= {*results, *scalars}, lever


def test_the_tables_are_complete_and_say_the_same_both_ways():
    freezing = {name for name in LEVERS if "cache" in name}
    expected = {pair for pair in itertools.permutations(LEVERS, 2) if set(pair) != freezing}
    assert set(PAIRS) == expected
    assert all(PAIRS[b, a] == cell for (a, b), cell in PAIRS.items())
    assert set(MODELS) == set(itertools.product(LEVERS, ["pre-LN", "factorised", "compact"]))


@pytest.mark.parametrize(
    "pair", [pair for pair in itertools.combinations(LEVERS, 2) if pair in PAIRS]
)
def test_a_pair_of_levers_does_as_the_table_says(pair, inputs, tmp_path):
    flags = flags_of(inputs, "dense", *pair)
    if PAIRS[pair] == "yes":
        return check(flags, pair, tmp_path)
    with pytest.raises(UserError, match=REFUSED[pair]):
        tiny.run(**flags, output_dir=tmp_path)
    assert REFUSED[pair] in " ".join(PAGE.read_text(encoding="utf-8").split())


# What is quick enough for every run of the tests; the others are slow.
QUICK = {"masks": "pre-LN", "teacher": "factorised", "`--budget`": "compact"}


@pytest.mark.parametrize(
    ("lever", "model"),
    [
        pytest.param(lever, model, marks=[] if QUICK.get(lever) == model else pytest.mark.slow)
        for lever, model in MODELS
    ],
)
def test_a_lever_starts_from_each_model(lever, model, inputs, tmp_path):
    assert MODELS[lever, model] == "yes"
    check(flags_of(inputs, model, lever), [lever], tmp_path)


OTHERS = ("run_tagger.py", "run_squad.py")
# What goes together with them, all pairs of the table among it, and from which model.
TOGETHER = {
    "factorised": ("masks", "teacher", "`--freeze_layers` and cache", "`--budget`"),
    "compact": ("teacher", "AutoFreeze and cache", "`--budget`"),
    "pre-LN": ("teacher", "`--budget`", "sub-networks"),
}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """{program: the flags of its runs, a teacher among them}."""
    root = tmp_path_factory.mktemp("others")
    labels = ["O", "B-B", "I-B", "B-G", "I-G"]
    words = {"task_name": "tagging", "head": "token_classification", "scheme": "iob2"}
    plain = load_model(tiny.make_model(root / "plain", seed=1))
    arrays = {**plain.arrays, **tiny.span_head(plain.config.hidden_size)}
    squad = tiny.make_squad(root / "squad", train=24, predict=9)
    answers = {"task_name": "squad", "head": "question_answering", "labels": None}
    common = {name: value for name, value in FLAGS.items() if name != "task_name"}
    return {
        "run_tagger.py": {
            **common,
            "program": "tagging",
            "data_dir": tags.make_conll(root / "conll"),
            "teacher_model_dir": tiny.make_classifier(root / "tagger", labels, words),
        },
        "run_squad.py": {
            **common,
            "program": "spans",
            "max_query_length": 4,
            "train_file": squad / "train.json",
            "predict_file": squad / "predict.json",
            "teacher_model_dir": save_model_folder(
                root / "spans", plain.config, arrays, plain.vocab_file, answers
            ),
        },
    }


def flags_of_other(others, inputs, program, model, levers):
    """Flags of a run of another program with these levers, from that kind of model."""
    flags = {**flags_of(inputs, model, *levers), **others[program]}
    own = {"task_name", "feature_dir"} | ({"data_dir"} if program == "run_squad.py" else set())
    own |= set() if "teacher" in levers else {"teacher_model_dir"}
    return {name: value for name, value in flags.items() if name not in own}


def test_the_other_programs_train_all_pairs():
    pairs = {pair for levers in TOGETHER.values() for pair in itertools.permutations(levers, 2)}
    assert pairs == {pair for pair, cell in PAIRS.items() if cell == "yes"}
    rows = {*LEVERS, *(f"a {model} model" for model in TOGETHER)}
    assert set(PROGRAMS) == {(row, f"`{program}`") for row in rows for program in OTHERS}
    assert set(PROGRAMS.values()) == {"yes"}


@pytest.mark.parametrize(
    ("program", "model"),
    [
        ("run_tagger.py", "factorised"),
        ("run_tagger.py", "compact"),
        ("run_tagger.py", "pre-LN"),
        ("run_squad.py", "compact"),
        # Each lever of theirs by itself: tests/spans/test_levers.py.
        pytest.param("run_squad.py", "factorised", marks=pytest.mark.slow),
        pytest.param("run_squad.py", "pre-LN", marks=pytest.mark.slow),
    ],
)
def test_levers_go_together_with_the_other_programs(program, model, others, inputs, tmp_path):
    levers = TOGETHER[model]
    check(flags_of_other(others, inputs, program, model, levers), levers, tmp_path)


@pytest.mark.parametrize("program", OTHERS)
@pytest.mark.parametrize("pair", REFUSED)
def test_what_is_refused_is_so_with_the_other_programs(pair, program, others, inputs, tmp_path):
    with pytest.raises(UserError, match=REFUSED[pair]):
        tiny.run(**flags_of_other(others, inputs, program, "dense", pair), output_dir=tmp_path)
