"""Losses of sub-networks by zeroed rows, greedy paths, evolution, and what sub-networks cost."""

import dataclasses
import itertools

import numpy as np
import pytest

from bert_tf.checkpoints import names
from bert_tf.config import BertConfig
from bert_tf.dynabert import costs, latency
from bert_tf.dynabert.evolution import evolve
from bert_tf.dynabert.export import export
from bert_tf.dynabert.mixing import Target, mix
from bert_tf.dynabert.sample_loss import SampleLoss
from bert_tf.dynabert.search import Objective, Space, greedy
from bert_tf.encoder import Subnetwork
from tests import tiny
from tests.dynabert.reference import CONFIG, KINDS, make_arrays, make_model, make_store

BASE = BertConfig(vocab_size=30522, type_vocab_size=2)
BOTH = (0, 1)


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


def size(part):
    """Parameters of a sub-network of `CONFIG`, but for a constant."""
    return sum(4 * heads + neurons for heads, neurons in part.units) + len(part.layers)


def toy(weights, depths=(BOTH, (0,)), seen=None):
    """(Space, Objective) of a loss that each head and neuron missing in a layer adds to.

    Args:
      weights: [(loss per missing head, per missing neuron)] of each layer.
      depths: lists of layers to choose among.
      seen: list that takes the units that are evaluated.
    """

    seen = [] if seen is None else seen

    def loss(part):
        seen.append(part.units)
        total = 10.0 * (2 - len(part.layers))
        for layer, units in zip(part.layers, part.units, strict=True):
            most = CONFIG.units_of(layer)
            total += sum(w * (m - n) for w, m, n in zip(weights[layer], most, units, strict=True))
        return total

    return Space(CONFIG, depths), Objective(loss, size)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_zeros_are_slices(kind):
    model = make_model(*make_arrays(**KINDS[kind]))
    before, store = model.arrays(), make_store()
    inputs, labels = store.batch(range(len(store)))
    with SampleLoss(model, store, batch_size=4) as loss:
        for layers, units in (
            (BOTH, ((4, 12), (4, 12))),
            (BOTH, ((1, 3), (3, 7))),
            ((1,), ((2, 5),)),
            (BOTH, ((4, 12), (1, 1))),
        ):
            part = Subnetwork(layers, units)
            found = loss(part)
            # The kernels are zeroed now, which a slice does not see.
            logits, _ = model.forward(inputs, training=False, **part.forward)
            expected = np.mean(model.example_losses(labels, logits))
            assert found == pytest.approx(float(expected), abs=1e-5)
    tiny.assert_same_bits(model.arrays(), before)


def test_a_list_of_layers_is_traced_once():
    model = make_model(*make_arrays())
    traces = []
    forward = model.forward
    model.forward = lambda *args, **kwargs: (traces.append(1), forward(*args, **kwargs))[1]
    import tensorflow as tf

    tf.config.run_functions_eagerly(False)
    try:
        with SampleLoss(model, make_store(), batch_size=4) as loss:
            for heads, neurons in itertools.product((1, 4), (3, 12)):
                loss(Subnetwork(BOTH, ((heads, neurons), (4, 12))))
    finally:
        tf.config.run_functions_eagerly(True)
    assert len(traces) == 1


def test_the_steps_hold_the_uniform_widths():
    space = Space(CONFIG, (BOTH,))
    assert space.levels(0) == ([1, 2, 3, 4], [3, 6, 9, 12])
    for width in (0.25, 0.5, 0.75, 1.0):
        for layer, units in enumerate(Subnetwork.of(CONFIG, width).units):
            assert all(n in found for n, found in zip(units, space.levels(layer), strict=True))
    assert Space(BASE, ()).levels(3)[1] == [256 * i for i in range(1, 13)]


def test_greedy_removes_first_what_is_of_no_use():
    """All neurons of a layer whose output kernel is 0, of a model that is sure of its answers."""
    config, arrays = make_arrays()
    arrays["bert/encoder/layer_1/output/dense/kernel"][:] = 0
    store = make_store()
    inputs, _ = store.batch(range(len(store)))
    logits, _ = make_model(config, arrays).forward(inputs, training=False)
    labels = np.argmax(logits, -1)  # so that any change is for the worse
    arrays = {k: 30 * v if k.startswith("output_") else v for k, v in arrays.items()}
    model = make_model(config, arrays)

    def cost(part):
        return costs.size_of(config, arrays, part, 8).parameters

    with SampleLoss(model, make_store(labels)) as loss:
        objective = Objective(loss, cost)
        path = greedy(Space(config, (BOTH,)), BOTH, objective, lambda part: False)
    found = [x.part.units for x in path]
    assert found[:4] == [((4, 12), (4, n)) for n in (12, 9, 6, 3)]
    assert found[-1] == ((1, 3), (1, 3)) and len(found) == 1 + 2 * (3 + 3)
    assert all(a.cost > b.cost for a, b in itertools.pairwise(path))


def test_greedy_takes_the_step_of_least_rise_per_cost():
    space, objective = toy([(4.0, 0.9), (8.0, 0.1)])
    path = greedy(space, BOTH, objective, lambda part: False)
    prices = [(b.loss - a.loss) / (a.cost - b.cost) for a, b in itertools.pairwise(path)]
    assert prices == pytest.approx([0.1] * 3 + [0.9] * 3 + [1.0] * 3 + [2.0] * 3)
    # Each step needs a new loss, and the first one those of all places.
    assert objective.evaluations <= len(path) + 2 * len(path)


def test_lazy_steps_are_those_of_all_evaluated():
    """Where rises grow along the way: the reference evaluates every step at every state."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 2, size=(2, 2))

    def loss(part):
        gone = np.array(CONFIG.units_of(0)) - np.array(part.units)
        return float((weights * gone**2).sum())

    space, objective = Space(CONFIG, (BOTH,)), Objective(loss, size)
    path = greedy(space, BOTH, objective, lambda part: False)
    part, expected = space.widest(BOTH), [space.widest(BOTH).units]
    while True:
        steps = [space.narrower(part, place, kind) for place in (0, 1) for kind in (0, 1)]
        steps = [step for step in steps if step]
        if not steps:
            break
        now = part
        part = min(steps, key=lambda x: (loss(x) - loss(now)) / (size(now) - size(x)))
        expected.append(part.units)
    assert [x.part.units for x in path] == expected


def test_mixes_keep_their_limits_and_beat_the_uniform():
    space, objective = toy([(1.0, 0.1), (8.0, 2.0)], depths=(BOTH,))
    uniform = [Subnetwork.of(CONFIG, width) for width in (1.0, 0.75, 0.5, 0.25)]
    limits = {f"mix_{part.name}": (part, size(part)) for part in uniform[1:]}
    targets = [
        Target(name, lambda part, most=most: size(part) <= most)
        for name, (_, most) in limits.items()
    ]
    for generations in (0, 3):
        found = mix(space, objective, targets, uniform, generations)
        assert [part.name for part in found] == list(limits)[:2]  # the last one is the smallest
        for part in found:
            rival, most = limits[part.name]
            assert size(part) <= most
            assert objective(part).loss < objective(rival).loss
            part.check(CONFIG)


def test_a_mix_that_is_known_or_impossible_is_left_out():
    space, objective = toy([(1.0, 1.0), (1.0, 1.0)])
    whole = Subnetwork.of(CONFIG)
    targets = [Target("all", lambda part: True), Target("none", lambda part: False)]
    for generations in (0, 1):
        assert mix(space, objective, targets, [whole], generations) == []


@pytest.mark.parametrize("most", [17.0, 25.0, 50.0])
def test_evolution_keeps_the_limit_is_no_worse_than_its_seeds_and_repeats(most):
    space, objective = toy([(1.0, 0.1), (8.0, 2.0)])

    def fits(part):
        return size(part) <= most

    seeds = [Subnetwork.of(CONFIG, width) for width in (1.0, 0.25)]
    runs = [evolve(space, objective, fits, seeds, 3, seed=seed) for seed in (1, 1)]
    assert runs[0] == runs[1]
    found = runs[0]
    assert size(found.part) <= most
    rivals = [objective(part) for part in (*seeds, space.narrowest((0,))) if fits(part)]
    assert found.rank <= min(x.rank for x in rivals)
    found.part.check(CONFIG)


def test_evolution_finds_what_a_greedy_step_does_not_see():
    """Two layers that are of use only together."""

    def loss(part):
        gone = [4 - heads for heads, _ in part.units]
        return 0.0 if gone == [3, 3] else 1.0 + sum(gone)

    space = Space(CONFIG, (BOTH,))
    objective = Objective(loss, size)
    found = evolve(space, objective, lambda part: True, [space.widest(BOTH)], 20, seed=0)
    assert [heads for heads, _ in found.part.units] == [1, 1]


def test_another_seed_draws_others():
    evaluated = [], []
    for seed, seen in enumerate(evaluated):
        space, objective = toy([(1.0, 0.1), (8.0, 2.0)], seen=seen)
        evolve(space, objective, lambda part: True, [], 1, seed=seed)
    assert evaluated[0] != evaluated[1]


def without_memory(config, labels=2):
    """{name: array} of a classifier of this shape, which take no memory."""
    shapes = names.encoder_shapes(config)
    shapes |= {"output_weights": (labels, config.hidden_size), "output_bias": (labels,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("width", "depth", "parameters", "gflops"),
    [
        (1.0, 1.0, 109.5, 22.35), (1.0, 0.75, 88.2, 16.76), (1.0, 0.5, 67.0, 11.17),
        (0.75, 1.0, 88.2, 16.76), (0.75, 0.75, 72.3, 12.57), (0.75, 0.5, 56.3, 8.38),
        (0.5, 1.0, 67.0, 11.17), (0.5, 0.75, 56.3, 8.38), (0.5, 0.5, 45.7, 5.59),
        (0.25, 1.0, 45.7, 5.59), (0.25, 0.75, 40.4, 4.19), (0.25, 0.5, 35.1, 2.79),
    ],
)  # fmt: skip
def test_sizes_of_bert_base(width, depth, parameters, gflops):
    arrays = without_memory(BASE)
    part = Subnetwork.of(BASE, width, depth)
    found = costs.size_of(BASE, arrays, part, 128)
    exact = {(1, 1): 109_483_778, (0.5, 1): 66_984_194, (0.25, 0.5): 35_081_858}
    assert found.parameters == exact.get((width, depth), found.parameters)
    assert found.parameters / 1e6 == pytest.approx(parameters, abs=0.05)
    assert found.megabytes == 4 * found.parameters / 1e6
    all_tokens = costs.layer_flops(*export(BASE, arrays, part), 128, first_token_only=False)
    assert all_tokens / 1e9 == pytest.approx(gflops, abs=0.006)
    assert found.flops < all_tokens


def test_operations_of_factors():
    """As many as the products have: x P, then that times Q."""
    config, arrays = make_arrays(rank=5)
    one = config.replace(num_hidden_layers=1)
    products = 4 * (16 * 5 + 5 * 16) + 2 * (16 * 5 + 5 * 12)
    attention = 4 * 7 * 7 * 16
    assert costs.layer_flops(one, arrays, 7, first_token_only=False) == 2 * 7 * products + attention
    first = 2 * (7 * 2 * 160 + 2 * 160 + 2 * (16 * 5 + 5 * 12)) + 4 * 7 * 16
    assert costs.layer_flops(one, arrays, 7) == first


def test_layer_times_rise_with_units_and_add_up():
    config, arrays = make_arrays()
    times = latency.LayerTimes(config, arrays, (BOTH, (0,)), lambda: None, (2, 6), rounds=2)
    whole = Subnetwork.of(config)
    found = [times.seconds(dataclasses.replace(whole, units=((heads, 12), (4, 12))))
             for heads in (1, 2, 3, 4)]  # fmt: skip
    found += [times.seconds(whole)]
    assert found[0] > 0 and found[:4] == sorted(found[:4]) and found[0] < found[3] == found[4]
    neurons = [times.seconds(dataclasses.replace(whole, units=((4, n), (4, 12)))) for n in (3, 12)]
    assert neurons[0] < neurons[1] == found[3]
    assert times.seconds(Subnetwork((0,), ((4, 12),))) < found[3]


def test_calls_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    taken = latency.interleaved(calls, rounds=2)
    assert "".join(order).endswith("abcabc")
    assert {name: len(times) for name, times in taken.items()} == dict.fromkeys("abc", 2)
