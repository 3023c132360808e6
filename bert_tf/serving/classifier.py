"""Predictions for texts by an exported model."""

import dataclasses

import numpy as np

from bert_tf.errors import UserError
from bert_tf.serving import artefact as artefact_lib
from bert_tf.serving.encoding import TextEncoder
from bert_tf.serving.session import Session

_POOLINGS = ("mean", "pooled")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says of a text.

    Attributes:
      label: the likeliest.
      probability: of the label.
      probabilities: {label: probability}, in the order of the model's outputs.
    """

    label: str
    probability: float
    probabilities: dict


@dataclasses.dataclass(frozen=True)
class Score:
    """What a regression says of a text.

    Attributes:
      score: the number.
    """

    score: float


class Classifier:
    """A model that export_model.py wrote as ONNX, run on texts.

    Args:
      folder: the exported folder.
      threads: of one run of the model; None takes all cores. With 1 texts are cut into tokens by
        that one as well; else by the threads of tokenizers, so many as the environment variable
        RAYON_NUM_THREADS says, or one for each core.
      batch_size: rows in one run of the model.
      verify: whether model and tokenizer must be the files that were exported, by their digests;
        False saves reading them twice.

    Attributes:
      artefact: `Artefact`, what export.json says.

    Raises:
      UserError: the folder is no export that can be run here, a file of it was changed, its labels
        are not those of the model's outputs, or onnxruntime or tokenizers is not installed.

    Example:
      >>> classify = Classifier("exported", threads=2)
      >>> classify(["one text", ("a text", "and its pair")])[0].label
    """

    def __init__(self, folder, threads=None, batch_size=32, verify=True):
        for name, value in (("threads", threads), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise UserError(f"{name}={value}: expected 1 or more")
        self.artefact = artefact_lib.read(folder, verify)
        self._session = Session(self.artefact.model_file, threads)
        _check_outputs(self.artefact, self._session.outputs)
        self._encoder = TextEncoder(
            self.artefact.tokenizer_file,
            self.artefact.max_seq_length,
            self.artefact.truncation,
            threads,
        )
        self._batch_size = batch_size

    def __call__(self, texts):
        """Predicts.

        Args:
          texts: iterable of str and of pairs of str; long ones are cut as in training.

        Returns:
          List of `Prediction`, or of `Score` for a regression, in the order of the texts.

        Raises:
          UserError: a row is neither a text nor a pair (it is named by its number, from 0), or the
            model is an encoder.
        """
        logits = self.logits(texts)
        if self.artefact.kind == "regression":
            return [Score(float(x)) for x in logits[:, 0]]
        return [self._prediction(row) for row in _softmax(logits)]

    def logits(self, texts):
        """Returns the model's outputs, float32 [texts, labels]; the rest is as of a call."""
        if self.artefact.kind == "encoder":
            raise UserError(
                f"{self.artefact.folder}: is an encoder, which has no labels: use embed(texts)"
            )
        return self._rows(texts, "logits", lambda outputs, _: outputs)

    def embed(self, texts, pooling="mean"):
        """Returns vectors of texts by an encoder, float32 [texts, hidden].

        Args:
          texts: as of a call.
          pooling: `mean` of the tokens' vectors, [CLS] and [SEP] included, or `pooled`, what the
            pooler makes of the first one.

        Raises:
          UserError: as a call, there is no such pooling, or the model has no pooler.
        """
        if self.artefact.kind != "encoder":
            raise UserError(
                f"{self.artefact.folder}: is for {self.artefact.kind} and gives no vectors: export"
                " the encoder that it was made of"
            )
        if pooling not in _POOLINGS:
            raise UserError(f"pooling={pooling}: expected {' or '.join(_POOLINGS)}")
        if pooling == "mean":
            return self._rows(texts, "sequence_output", _mean)
        if "pooled_output" not in self._session.outputs:
            raise UserError(f"{self.artefact.folder}: the model has no pooler: use pooling='mean'")
        return self._rows(texts, "pooled_output", lambda outputs, _: outputs)

    def _rows(self, texts, output, reduce):
        """float32 [texts, width]: `reduce` of the output and the mask, batch by batch."""
        if isinstance(texts, str):
            raise UserError("found one text, expected a list of texts: write [text]")
        rows = self._encoder.encode(list(texts))
        found = np.zeros([len(rows), self._session.outputs[output]], np.float32)
        # Rows of one length go together: there is little to pad.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            inputs = self._encoder.batch([rows[i] for i in batch])
            found[batch] = reduce(self._session.run(output, inputs), inputs["attention_mask"])
        return found

    def _prediction(self, probabilities):
        values = [float(p) for p in probabilities]
        best = int(np.argmax(probabilities))
        labels = self.artefact.labels
        named = dict(zip(labels, values, strict=True))
        return Prediction(labels[best], values[best], named)


def _check_outputs(artefact, found):
    """Raises `UserError` unless the outputs {name: width} are those that export.json describes."""
    if artefact.kind == "encoder":
        good, expected = "sequence_output" in found, "sequence_output"
    else:
        width = len(artefact.labels or ["score"])
        good, expected = found.get("logits") == width, f"logits of {width} (one for each label)"
    if not good:
        raise UserError(
            f"{artefact.model_file}: gives {found}, expected {expected} by what export.json says:"
            " export the model again"
        )


def _softmax(logits):
    """Probabilities, float64 [n, labels]."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _mean(vectors, mask):
    """[B, T, H] -> [B, H]: over the tokens that are no padding."""
    weights = mask[..., None].astype(np.float32)
    return (vectors * weights).sum(1) / weights.sum(1)
