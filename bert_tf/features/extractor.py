"""An encoder's outputs for texts, a bounded piece at a time."""

import dataclasses

import numpy as np
import tensorflow as tf

from bert_tf import text_lines
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.data.batching import eval_plan
from bert_tf.data.features import FeatureStore
from bert_tf.data.rows import DEFAULT_LENGTH
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.features import layers as layers_lib

POOLINGS = ("none", "mean", "cls", "pooled")
POOLED = "pooled"
"""Key of the pooler's output among the vectors, whose others are layers."""

_MOST_VALUES = 1 << 26  # float32, of the lines that are computed before the first is handed out
_INPUTS = ("input_word_ids", "input_mask", "input_type_ids")


@dataclasses.dataclass(frozen=True)
class TextFeatures:
    """What the encoder computes of a text or a pair.

    Attributes:
      ids: int32 [tokens], [CLS] and [SEP] included.
      tokens: list of str, the vocabulary's.
      vectors: {layer as it was named: float32 [tokens, hidden]}, the layers in the order they were
        asked for; [hidden] with a pooling, and {"pooled": [hidden]} of the pooler.
    """

    ids: np.ndarray
    tokens: list
    vectors: dict


class Extractor:
    """Computes the outputs of layers of any encoder: dense, factorised, compact, a sub-network.

    Args:
      model: `LoadedModel`.
      layers: list of int, -1 the last layer, 0 the embeddings, see `layers.depths`; None takes the
        last four, with a pooling the last. The last is after the final LayerNorm of pre-LN.
      pooling: `none` gives a vector for each token; `mean` that of all of them, `cls` the first,
        `pooled` what the pooler makes of the first of the last layer.
      do_lower_case: of the texts; None is as the model is.
      max_seq_length: rows are cut to this many tokens; None is 128, or as many as the model takes.
      batch_size: rows in one run of the encoder.

    Attributes:
      tokenizer: `BertTokenizer`.
      max_seq_length: tokens that rows are cut to.
      keys: list of the keys of `TextFeatures.vectors`.
      hidden_size: width of a vector.

    Raises:
      UserError: the model has no such layer, pooler, number of positions, or no vocabulary.

    Example:
      >>> extract = Extractor(load_model("minilm"), layers=[-1], pooling="mean")
      >>> vectors = [found.vectors[-1] for found in extract(["a text", ("a text", "its pair")])]
    """

    def __init__(
        self,
        model,
        layers=None,
        pooling="none",
        do_lower_case=None,
        max_seq_length=None,
        batch_size=32,
    ):
        config = model.config
        if pooling not in POOLINGS:
            raise UserError(f"--pooling={pooling}: expected one of {', '.join(POOLINGS)}")
        longest = config.max_position_embeddings
        if max_seq_length is not None and max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={max_seq_length}: {model.source} takes {longest} tokens at most"
            )
        if pooling == POOLED and "bert/pooler/dense/kernel" not in model.arrays:
            raise UserError(
                f"--pooling=pooled: {model.source} has no pooler: use --pooling=mean or cls"
            )
        most = config.num_hidden_layers
        if layers is None:
            layers = layers_lib.default(most) if pooling == "none" else [-1]
        self._depths = layers_lib.depths(layers, most)
        self._pooling = pooling
        self._source = model.source
        self.max_seq_length = max_seq_length or min(DEFAULT_LENGTH, longest)
        self._batch_size = batch_size
        self._knows_pairs = config.type_vocab_size > 1
        self.tokenizer = tokenizer_of(model, do_lower_case)
        self.keys = [POOLED] if pooling == POOLED else list(self._depths)
        self.hidden_size = config.hidden_size
        self._encoder = _encoder_of(model)
        ids = tf.TensorSpec([None, None], tf.int32)
        self._run = tf.function(
            self._vectors, input_signature=[dict.fromkeys(_INPUTS, ids)], autograph=False
        )

    def __call__(self, rows):
        """Yields the `TextFeatures` of each row, in their order; few rows are in memory at a time.

        Args:
          rows: iterable of str and of pairs of str.

        Raises:
          UserError: a row is a pair and the model knows single texts only, or what it computes is
            not finite.
        """
        for chunk in text_lines.chunks(rows):
            store = self._encoded(chunk)
            for part in self._parts(store.lengths):
                yield from self._features(store, part)

    def check_pair(self, where):
        """Raises `UserError` if the model knows single texts only; `where` begins the message."""
        if not self._knows_pairs:
            raise UserError(
                f"{where}: is a pair, but {self._source} knows single texts only (type_vocab_size 1"
                " in its configuration): give a model with two token types"
            )

    def _encoded(self, rows):
        """The `FeatureStore` of rows, texts and pairs in any order."""
        pairs = np.array([not isinstance(row, str) for row in rows])
        order, parts = np.argsort(pairs, kind="stable"), []  # the single texts first
        singles, several = (order[: (~pairs).sum()], order[(~pairs).sum() :])
        if len(singles):
            texts = [rows[i] for i in singles]
            parts.append(self.tokenizer.encode_flat(texts, None, self.max_seq_length))
        if len(several):
            self.check_pair(f"row {several[0]}")
            first, second = (list(x) for x in zip(*(rows[i] for i in several), strict=True))
            parts.append(self.tokenizer.encode_flat(first, second, self.max_seq_length))
        ids, offsets, first_lengths = zip(*parts, strict=True)
        store = FeatureStore(
            ids=np.concatenate(ids),
            offsets=np.cumsum([0, *(n for x in offsets for n in np.diff(x))]),
            first_lengths=np.concatenate(first_lengths),
            labels=None,
            fingerprint="",
        )
        return store.taken(np.argsort(order, kind="stable"))

    def _parts(self, lengths):
        """Yields ranges of rows whose vectors are held together."""
        tokens = lengths if self._pooling == "none" else np.ones_like(lengths)
        values = np.cumsum(tokens * (len(self.keys) * self.hidden_size), dtype=np.int64)
        bounds = np.flatnonzero(np.diff(values // _MOST_VALUES)) + 1
        bounds = [0, *bounds.tolist(), len(lengths)]
        yield from map(range, bounds[:-1], bounds[1:])

    def _features(self, store, part):
        plan = eval_plan(store.lengths[part.start : part.stop], self._batch_size)
        found = [{} for _ in part]
        for step in range(plan.steps):
            chosen = plan.ids(step)
            inputs, _ = store.batch(part.start + chosen)
            for key, vectors in zip(self.keys, self._run(inputs), strict=True):
                vectors = vectors.numpy()
                if not np.isfinite(vectors).all():
                    raise UserError(f"{self._source}: computes numbers that are not finite")
                for i, row in zip(chosen, vectors, strict=True):
                    length = store.lengths[part.start + i]
                    found[i][key] = row[:length] if self._pooling == "none" else row
        for i, vectors in zip(part, found, strict=True):
            ids = store.ids[store.offsets[i] : store.offsets[i + 1]]
            yield TextFeatures(ids, [self.tokenizer.vocab.tokens[x] for x in ids], vectors)

    def _vectors(self, inputs):
        """The tensors of `keys`: float32 [B, T, hidden], pooled [B, hidden]."""
        encoder, mask = self._encoder, inputs["input_mask"]
        hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
        most = len(encoder.encoder_layers)
        if self._pooling == POOLED:
            sequence, _ = encoder.transform(hidden, mask, training=False, first_token_only=True)
            return [encoder.pool(sequence)]
        deepest = max(self._depths.values())
        sequence, outputs = encoder.transform(hidden, mask, range(deepest), training=False)
        states = [hidden, *outputs]
        if deepest == most:
            states[most] = sequence  # behind the final LayerNorm, if there is one
        return [self._reduced(states[depth], mask) for depth in self._depths.values()]

    def _reduced(self, states, mask):
        if self._pooling == "cls":
            return states[:, 0]
        if self._pooling == "none":
            return states
        weights = tf.cast(mask, states.dtype)[..., None]
        return tf.reduce_sum(states * weights, 1) / tf.reduce_sum(weights, 1)


def _encoder_of(model):
    encoder = BertEncoder(model.config, kernels.factory(model.config, model.arrays))
    encoder({"input_word_ids": tf.zeros([1, 1], tf.int32)})
    arrays = {name: x for name, x in model.arrays.items() if name.startswith("bert/")}
    assign_arrays(encoder.weights, arrays, model.source)
    return encoder
