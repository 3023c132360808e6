"""The logits of a fine-tuned model, in the order of the task's labels."""

import numpy as np
import pytest

from bert_tf.augmentation.teacher import Teacher
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.data.tasks import custom_task, get_task
from bert_tf.errors import UserError
from bert_tf.pruning.comparison import inference_function
from bert_tf.tokenization.tokenizer import BertTokenizer
from tests import tiny

TEXTS, _ = tiny.sentences(7)


@pytest.fixture(autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


def task_of(*labels):
    return custom_task(text_column="text", label_column="label", labels=labels)


def expected(folder, text_a, text_b=None, length=16):
    """The logits in the order of the model's own labels."""
    source = load_model(folder)
    _, forward = inference_function(source.config, source.arrays)
    return forward(BertTokenizer(source.vocab_file).encode(text_a, text_b, length)).numpy()


def test_logits_are_those_of_the_model_as_it_was_fine_tuned(tmp_path):
    folder = tiny.make_classifier(tmp_path / "model", ["a", "b", "c"])
    teacher = Teacher(folder)
    teacher.prepare(task_of("a", "b", "c"), pairs=False)
    long = [*TEXTS, " ".join(TEXTS)]  # cut as its task.json says
    wanted = expected(folder, long)
    np.testing.assert_allclose(teacher.logits(long, None), wanted, atol=1e-5)
    assert len(np.unique(wanted.argmax(-1))) > 1


def test_logits_are_in_the_order_of_the_tasks_labels(tmp_path):
    folder = tiny.make_classifier(tmp_path / "model", ["b", "c", "a"])
    teacher = Teacher(folder)
    teacher.prepare(task_of("a", "b", "c"), pairs=True)
    wanted = expected(folder, TEXTS, TEXTS[::-1])[:, [2, 0, 1]]
    np.testing.assert_allclose(teacher.logits(TEXTS, TEXTS[::-1]), wanted, atol=1e-5)


def test_a_score(tmp_path):
    folder = tiny.make_classifier(tmp_path / "model", None, {"task_name": "sts-b"})
    teacher = Teacher(folder)
    teacher.prepare(get_task("sts-b"), pairs=True)
    found = teacher.logits(TEXTS, TEXTS)
    np.testing.assert_allclose(found, expected(folder, TEXTS, TEXTS), atol=1e-5)
    assert found.shape == (7, 1)


def test_a_model_that_is_no_teacher_of_the_task(tmp_path):
    teacher = Teacher(tiny.make_classifier(tmp_path / "model", ["a", "b", "c"]))
    with pytest.raises(
        UserError, match="give a --teacher_model_dir that was fine-tuned on task cust"
    ):
        teacher.prepare(task_of("a", "b"), pairs=False)
    with pytest.raises(UserError, match=r"holds no classifier .* give a --teacher_model_dir"):
        Teacher(tiny.make_model(tmp_path / "bare")).prepare(task_of("a", "b"), pairs=False)
    single = Teacher(tiny.make_classifier(tmp_path / "single", ["a", "b"], type_vocab_size=1))
    with pytest.raises(UserError, match="knows single texts only"):
        single.prepare(task_of("a", "b"), pairs=True)


def test_a_teacher_whose_outputs_are_not_finite(tmp_path):
    teacher = Teacher(tiny.make_classifier(tmp_path / "model", ["a", "b"], layer_norm_eps=1e-12))
    big = {**teacher.source.arrays}
    big["output_weights"] = np.full_like(big["output_weights"], 3e38)
    teacher.source.arrays.update(big)
    teacher.prepare(task_of("a", "b"), pairs=False)
    with pytest.raises(UserError, match=r"^--teacher_model_dir: .*outputs for .* are not finite"):
        teacher.logits(TEXTS, None)
