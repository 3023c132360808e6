"""MaskedLanguageModel: encoder and pre-training heads, and how they are trained and evaluated."""

import time

import numpy as np
import tensorflow as tf

from bert_tf.checkpoints.report import assign_arrays
from bert_tf.encoder import BertEncoder
from bert_tf.heads import MaskedLMHead, NextSentenceHead
from bert_tf.training.update import UpdatedModel

VOCAB_MULTIPLE = 8  # tensor cores want the width of the largest product to be one of theirs
_PADDED = ("bert/embeddings/word_embeddings", "cls/predictions/output_bias")
_EPSILON = 1e-5  # of Google's denominator


class MaskedLanguageModel(UpdatedModel):
    """BERT with its masked-LM head, and for Google's data the next-sentence head.

    Only the masked positions meet the vocabulary, and they alone are computed by the last layer.
    The loss is Google BERT's, sum(w nll) / (sum(w) + 1e-5), over all masked positions of the whole
    batch, whatever the micro-batches and replicas; that of the next sentence is added to it.
    Inside, the vocabulary is padded to a multiple of 8; `arrays` and `load` know its true size.

    Args:
      config: `BertConfig`.
      next_sentence: train pooler and next-sentence head, too; without it neither is touched.
      seed: integer seed of the dropout masks, see `UpdatedModel`.

    Example:
      >>> model = MaskedLanguageModel(config)
      >>> model.compile(optimizer=make_optimizer("adamw", 1e-3))
      >>> model.fit(make_masked_lm_dataset(...), steps_per_epoch=100)
    """

    def __init__(self, config, next_sentence=False, seed=0):
        padded = -(-config.vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
        wide = config.replace(vocab_size=padded)
        super().__init__(config, BertEncoder(wide), seed, "masked_language_model")
        table = self.encoder.get_embedding_table()
        self.masked_lm = MaskedLMHead(wide, table, config.vocab_size)
        self.next_sentence = NextSentenceHead(config) if next_sentence else None

    @property
    def model_weights(self):
        """The variables of encoder and heads, in their padded sizes."""
        table = self.encoder.get_embedding_table()  # tied: the head has it, too
        heads = [v for v in self.masked_lm.weights if v is not table]
        heads += self.next_sentence.weights if self.next_sentence else []
        return self.encoder.weights + heads

    @property
    def trained_weights(self):
        """All but the pooler where no next sentence is predicted: nothing would use it."""
        weights = super().trained_weights
        if self.next_sentence:
            return weights
        return [v for v in weights if not v.name.startswith("bert/pooler/")]

    def logged_names(self, passes):
        """The total, and the parts that TensorBoard shows under Google's names."""
        if self.next_sentence:
            return ("loss", "masked_lm_loss", "masked_lm_accuracy",
                    "next_sentence_loss", "next_sentence_accuracy")  # fmt: skip
        return ("loss", "masked_lm_accuracy")

    @property
    def num_parameters(self):
        """How many numbers the model has, its vocabulary in its true size."""
        padding = self.encoder.config.vocab_size - self.config.vocab_size
        padded = padding * (self.config.embedding_width + 1)  # of the table, and of the bias
        return sum(int(v.shape.num_elements()) for v in self.model_weights) - padded

    def call(self, inputs, training=None):
        """Returns float32 logits of the masked positions, [batch, predictions, padded vocab]."""
        return self.forward(inputs, training)[0]

    def forward(self, inputs, training=None):
        """Returns (masked-LM logits, next-sentence logits or None).

        Args:
          inputs: dict of int32: `input_word_ids` [batch, seq], `masked_lm_positions` [batch, p],
            and where rows are not full `input_mask`, where they have two segments
            `input_type_ids`, both [batch, seq].
          training: whether dropout is on.
        """
        positions = inputs["masked_lm_positions"]
        if self.next_sentence:  # the pooler's token comes first
            positions = tf.concat([tf.zeros_like(positions[:, :1]), positions], 1)
        types = inputs.get("input_type_ids")
        hidden = self.encoder.embed(inputs["input_word_ids"], types, training)
        sequence, _ = self.encoder.transform(
            hidden, inputs.get("input_mask"), training=training, positions=positions
        )
        if not self.next_sentence:
            return self.masked_lm(sequence), None
        return self.masked_lm(sequence[:, 1:]), self.next_sentence(self.encoder.pool(sequence))

    def batch_totals(self, data):
        """float32 [2]: the weights of the masked positions, and the rows."""
        rows = tf.cast(tf.shape(data["input_word_ids"])[0], tf.float32)
        return tf.stack([tf.reduce_sum(data["masked_lm_weights"]) + _EPSILON, rows])

    def objective(self, data, weights, one, shared):
        """The losses, and the share of predictions that are right."""
        _, _, *parts = tf.unstack(self.sums(data, training=True))
        means = [part * weights[i // 2] for i, part in enumerate(parts)]
        total = means[0] + means[2] if self.next_sentence else means[0]
        logged = [total, *means] if self.next_sentence else means
        return total, dict(zip(self.logged_names([one]), logged, strict=True))

    def sums(self, data, training=None):
        """What means are made of, over one batch.

        Returns:
          float32 [4 or 6]: the weights of the masked positions, the rows, then for the masked
          positions and (if predicted) the next sentence: summed loss, number of right answers.
        """
        logits, sentence_logits = self.forward(data, training)
        weights, ids = data["masked_lm_weights"], data["masked_lm_ids"]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits)
        found = [tf.reduce_sum(weights), tf.cast(tf.shape(ids)[0], tf.float32)]
        found += [tf.reduce_sum(losses * weights), tf.reduce_sum(_right(logits, ids) * weights)]
        if self.next_sentence:
            labels = tf.reshape(data["next_sentence_labels"], [-1])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, sentence_logits)
            found += [tf.reduce_sum(losses), tf.reduce_sum(_right(sentence_logits, labels))]
        return tf.stack(found)

    def set_output_bias(self, values):
        """Gives the predictions' bias these values, float32 [vocab_size]."""
        self.masked_lm.output_bias.assign(self._padded(values))

    def arrays(self):
        """Returns {Google name: float32 array} of encoder and heads, the vocabulary's true size."""
        size = self.config.vocab_size
        values = super().arrays().items()
        return {name: x[:size] if name in _PADDED else x for name, x in values}

    def load(self, arrays, source, left=None, remarks=()):
        """Takes the weights of `arrays`, see `assign_arrays`; heads that are missing stay.

        Args:
          arrays: {Google name: array} of a model of the same shape, the vocabulary's true size.
          source: what to call it in errors.
          left, remarks: as `assign_arrays` takes them, for the report.

        Returns:
          A `LoadReport`.
        """
        arrays = {name: self._padded(x) if name in _PADDED else x for name, x in arrays.items()}
        return assign_arrays(self.model_weights, arrays, source, left=left, remarks=remarks)

    def _padded(self, array):
        padding = self.encoder.config.vocab_size - self.config.vocab_size
        return np.pad(array, [(0, padding)] + [(0, 0)] * (array.ndim - 1))


def _right(logits, labels):
    """float32: 1 where the label's logit is the highest, [...] of logits [..., classes]."""
    # Not argmax: on a CPU that costs as much as the product that gave the logits.
    own = tf.gather(logits, labels, batch_dims=labels.shape.rank)
    return tf.cast(own >= tf.reduce_max(logits, -1), tf.float32)


class MaskedLMEvaluator:
    """Held-out losses of a `MaskedLanguageModel`, over the same batches at each evaluation.

    Args:
      model: `MaskedLanguageModel`.
      dataset: finite `tf.data.Dataset` of the batches.
    """

    def __init__(self, model, dataset):
        self.model = model
        self.dataset = dataset
        self.seconds = 0.0
        self._sums = tf.function(lambda batch: model.sums(batch, training=False))

    def measure(self, batches):
        """Returns the seconds that an evaluation of `batches` batches takes, from one of them."""
        batch = next(iter(self.dataset))
        self._sums(batch)  # which traces
        started = time.monotonic()
        self._sums(batch).numpy()
        return batches * (time.monotonic() - started)

    def evaluate(self):
        """Returns {metric: float} under Google's names: `loss`, `masked_lm_loss`,
        `masked_lm_accuracy`, and with a next sentence its loss and accuracy.
        """
        started = time.monotonic()
        sums = sum(self._sums(batch).numpy().astype(np.float64) for batch in self.dataset)
        predictions, rows, loss, right, *sentence = sums.tolist()
        metrics = {
            "masked_lm_loss": loss / max(predictions, 1.0),
            "masked_lm_accuracy": right / max(predictions, 1.0),
        }
        if sentence:
            metrics["next_sentence_loss"] = sentence[0] / rows
            metrics["next_sentence_accuracy"] = sentence[1] / rows
        metrics["loss"] = metrics["masked_lm_loss"] + metrics.get("next_sentence_loss", 0.0)
        self.seconds += time.monotonic() - started
        return metrics
