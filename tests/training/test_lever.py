"""What a lever may do to a step: passes, shared tensors, variables of its own, updates."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.errors import UserError
from bert_tf.training.lever import Lever, Loss, Pass, refuse_conflicts
from tests.classification.test_model import DROPOUT, assert_close, gradients, make_batch, make_model


class SecondPass(Lever):
    """Adds a pass like the task's, with a loss of another name."""

    name = "second"

    def __init__(self, weight=1.0, when=None):
        super().__init__()
        self._weight, self._when = weight, when

    def passes(self, passes):
        (loss,) = passes[0].losses
        again = dataclasses.replace(loss, name="again", weight=self._weight)
        return (*passes, Pass((again,), when=self._when))


class Offset(Lever):
    """Trains a variable that is added to every loss, by its own gradient descent."""

    name = "offset"

    def __init__(self):
        super().__init__()
        self.offset = tf.Variable(1.0)
        self.variables = [self.offset]
        self.shared_calls = 0
        self.seen = []

    def shared(self, inputs):
        self.shared_calls += 1
        return {"tokens": tf.reduce_sum(inputs["input_mask"])}

    def passes(self, passes):
        def losses(inputs, labels, outputs, shared):
            assert shared["tokens"].shape == []
            return tf.ones([tf.shape(labels)[0]]) * self.offset**2

        return [
            dataclasses.replace(x, losses=(*x.losses, Loss("offset_loss", losses, 0.5)))
            for x in passes
        ]

    def update(self, step, own, weights, applied):
        self.seen.append((int(step), float(own[0]), len(weights), applied))
        self.offset.assign_sub(0.1 * own[0])
        return {"offset": tf.identity(self.offset)}


def test_gradients_of_passes_are_added_up():
    batch = make_batch()
    loss, once = gradients(make_model(clip_norm=None), batch)
    found, both = gradients(make_model(clip_norm=None, levers=[SecondPass(2.0)]), batch)
    assert found == pytest.approx(loss, abs=1e-6)
    assert_close(both, {name: 3 * value for name, value in once.items()}, atol=1e-5)


def test_each_pass_draws_dropout_masks_of_its_own():
    logs = make_model(DROPOUT, levers=[SecondPass()]).train_step(make_batch())
    assert float(logs["loss"]) == float(make_model(DROPOUT).train_step(make_batch())["loss"])
    assert float(logs["again"]) != float(logs["loss"])


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_a_pass_runs_in_the_steps_that_it_is_for(accumulation_steps):
    model = make_model(
        clip_norm=None,
        accumulation_steps=accumulation_steps,
        levers=[SecondPass(when=lambda step: step % 2 == 1)],
    )
    batch = make_batch()
    even, once = gradients(model, batch, step=0)
    odd, twice = gradients(model, batch, step=1)
    assert odd == even
    assert_close(twice, {name: 2 * value for name, value in once.items()}, atol=1e-5)
    model.global_step.assign(1)
    assert float(model.train_step(batch)["again"]) == pytest.approx(odd)
    assert float(model.train_step(batch)["again"]) == 0.0


def test_a_lever_trains_its_own_variables_and_no_weights_clip_them():
    lever = Offset()
    model = make_model(clip_norm=1e-6, accumulation_steps=2, levers=[lever])
    logs = model.train_step(make_batch())
    ((step, own, weights, applied),) = lever.seen
    assert (step, weights, applied) == (0, len(model.trained_weights), None)
    assert own == pytest.approx(1.0)  # 0.5 * d/dx x^2, of the whole batch, not clipped
    assert float(logs["offset"]) == pytest.approx(0.9)
    assert float(logs["offset_loss"]) == pytest.approx(1.0)  # as logged: without the weight
    assert lever.shared_calls == 2  # once for each micro-batch


def test_a_lever_is_not_part_of_the_model():
    model = make_model(levers=[Offset()])
    names = {v.name for v in model.weights}
    assert names == {v.name for v in make_model().weights}


def test_of_two_levers_of_a_name_the_later_stays():
    model, first, second = make_model(), Offset(), Offset()
    model.add_lever(first)
    model.add_lever(SecondPass())
    model.add_lever(second)
    assert [x.name for x in model.levers] == ["second", "offset"]
    assert second in model.levers


def test_losses_of_a_name_are_added_up_in_the_logs():
    batch = make_batch()
    model = make_model(levers=[SecondPass()])
    again, losses = model.passes()[1], model.passes()[0].losses
    model.levers[0].passes = lambda passes: (Pass((*losses, *losses)), again)
    logs = model.train_step(batch)
    np.testing.assert_allclose(logs["loss"], 2 * logs["again"], rtol=1e-6)


def test_conflicts_are_refused_with_their_sentence():
    first, second = Offset(), SecondPass()
    refuse_conflicts([first, second])
    second.conflicts = {"offset": "--second cannot go with --offset: give one of them"}
    refuse_conflicts([second])
    with pytest.raises(UserError, match=r"^--second cannot go with --offset: give one of them$"):
        refuse_conflicts([first, second])
