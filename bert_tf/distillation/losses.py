"""What draws a student to a teacher: losses on their logits and hidden states."""

import tensorflow as tf

from bert_tf.errors import UserError

HIDDEN_LOSSES = ("relative", "tokens", "original")


class DistillationLoss:
    """Per-example distillation losses of a model on a task.

    Logits: T^2 times the cross-entropy of the student's softened probabilities to the teacher's
    (Hinton et al., 2015), or the squared error of a regression, as the model's head has it. Hidden
    states: the student's layers are compared with those of the teacher spread evenly over its
    depth, in one of three ways:

    - `relative`: mean squared error over real tokens divided by the mean square of the teacher's,
      mean over the layers (after TinyBERT, Jiao et al., 2020), so that 1 means "no better than
      zeros" whatever the model.
    - `tokens`: mean squared error over real tokens, sum over the layers.
    - `original`: the same over all tokens, padding too (DynaBERT's code: Hou et al., 2020).

    But for `original` the last layer of a student whose head reads the first token computes that
    one only and is compared there; all other layers are compared at every token. A teacher at most
    half as deep, whose last layer has several students, computes it in full. Where tokens have
    labels, logits are compared at those, and an example counts as much as it has of them.

    Args:
      teacher: `TaskModel` of the same task; it is run without dropout and never trained.
      student_config: `BertConfig` of the student.
      temperature: T, above 0.
      logits_weight, hidden_weight: factors of the two losses; 0 leaves one out.
      hidden_loss: `relative`, `tokens` or `original`.
      flags: names of those that gave the teacher and hidden_weight, for errors.

    Raises:
      UserError: the hidden sizes differ while hidden states are to be compared.
    """

    def __init__(
        self,
        teacher,
        student_config,
        temperature=2.0,
        logits_weight=1.0,
        hidden_weight=1.0,
        hidden_loss="relative",
        flags=("teacher_model_dir", "distillation_hidden_weight"),
    ):
        if hidden_weight and teacher.config.hidden_size != student_config.hidden_size:
            raise UserError(
                f"--{flags[0]}: hidden_size {teacher.config.hidden_size} of the teacher is"
                f" not the student's {student_config.hidden_size}: give"
                f" --{flags[1]}=0 to compare logits alone"
            )
        self._teacher = teacher
        self.temperature = temperature
        self.logits_weight = logits_weight
        self.hidden_weight = hidden_weight
        self.hidden_loss = hidden_loss
        depth, own = teacher.config.num_hidden_layers, student_config.num_hidden_layers
        self.layers = [round(i * depth / own) for i in range(own + 1)]
        whole = hidden_loss == "original" or depth in self.layers[:-1]
        self._first_token_only = not hidden_weight or not whole  # if that is all it reads

    def wanted(self, inputs, width=None):
        """Returns the teacher's (logits, hidden states) for `inputs`, which have no gradient.

        Args:
          inputs: the student's.
          width: (heads, neurons) of the teacher to run; None for all.
        """
        # The student's cached states are not the teacher's.
        inputs = {name: x for name, x in inputs.items() if name != "hidden"}
        part = {} if width is None else {"width": (width,) * self._teacher.config.num_hidden_layers}
        logits, states = self._teacher.forward(
            inputs, training=False, first_token_only=self._first_token_only, **part
        )
        return tf.stop_gradient(logits), [tf.stop_gradient(state) for state in states]

    def __call__(self, inputs, outputs, wanted, layers=None, labels=None):
        """Returns float32 losses [batch].

        Args:
          inputs: the student's inputs, dict of int32 [batch, seq].
          outputs: the student's (logits, hidden states), see `TaskModel.forward`. States
            that a cache leaves out are of frozen layers, whose losses would have no gradient: they
            count as 0, so that the others weigh the same.
          wanted: the teacher's, of `wanted`.
          layers: the student's layers that ran; None for all. What each of them takes is compared
            with what the teacher's takes, and what the last one gives with what the teacher's does.
          labels: the task's, where they say what counts, see `TaskModel.label_weights`.
        """
        (logits, states), (wanted_logits, wanted_states) = outputs, wanted
        weights = None if labels is None else self._teacher.label_weights(labels)
        losses = self._teacher.softened_losses(wanted_logits, logits, self.temperature)
        if weights is not None:
            losses = tf.reduce_sum(losses * weights, -1)
        losses = self.logits_weight * losses
        if self.hidden_weight:
            mask = tf.cast(inputs["input_mask"], tf.float32)
            places = self.layers
            if layers is not None:
                places = [*(self.layers[layer] for layer in layers), self.layers[-1]]
            chosen = [wanted_states[i] for i in places[-len(states) :]]
            if self.hidden_loss == "original":
                mask = tf.ones_like(mask)
            elif self._teacher.reads_first_token:
                chosen[-1] = chosen[-1][:, :1]  # all that the student's last layer computes
            relative = self.hidden_loss == "relative"
            hidden = hidden_losses(chosen, states, mask, len(places), relative)
            if weights is not None:
                hidden *= tf.reduce_sum(weights, -1)
            losses += self.hidden_weight * hidden
        return losses


def hidden_losses(wanted, found, mask, count=None, relative=True):
    """Returns float32 [batch]: squared errors over real tokens.

    Args:
      wanted, found: lists of float [batch, seq or 1, hidden], those of a pair of the same shape;
        one that holds the first token only is compared there.
      mask: float32 [batch, seq], 1 for real tokens.
      count: states that the mean is over; those that are not here count as 0. All here if None.
      relative: errors as shares of the mean square of `wanted`, and their mean over the states; or
        mean squared errors, and their sum over the states.

    Raises:
      ValueError: the shapes of a pair differ, as far as they are known when the step is traced;
        `tf.errors.InvalidArgumentError` if they turn out to differ later.
    """
    total = 0.0
    for target, state in zip(wanted, found, strict=True):
        target, state = tf.cast(target, tf.float32), tf.cast(state, tf.float32)
        target = _require_same_shape(target, state)
        weights = mask[:, : tf.shape(state)[1]]
        errors = tf.reduce_mean(tf.square(target - state), -1) * weights
        scale = tf.reduce_mean(tf.square(target), -1) * weights if relative else weights
        total += tf.reduce_sum(errors, -1) / tf.maximum(tf.reduce_sum(scale, -1), 1e-6)
    return total / (count or len(found)) if relative else total


def _require_same_shape(target, state):
    """`target`, once it is sure that a difference of the two would not be broadcast."""
    message = "hidden states to compare: the teacher's and the student's shapes differ"
    if not target.shape.is_compatible_with(state.shape):
        raise ValueError(f"{message}: {target.shape} and {state.shape}")
    if target.shape.is_fully_defined() and state.shape.is_fully_defined():
        return target
    same = tf.debugging.assert_equal(tf.shape(target), tf.shape(state), message)
    with tf.control_dependencies([same] if same is not None else []):
        return tf.identity(target)
