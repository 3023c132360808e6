"""What a masked language model puts in the place of a word."""

import numpy as np
import tensorflow as tf

from bert_tf.checkpoints import names
from bert_tf.data.batching import eval_plan
from bert_tf.data.features import FeatureStore
from bert_tf.encoder import kernels
from bert_tf.errors import UserError
from bert_tf.pretraining.model import MaskedLanguageModel

TOKEN_BUDGET = 4096
"""Padded tokens per batch."""

_HEAD = "cls/predictions/"
_SPECIALS = 3  # [CLS] and two [SEP]


class MaskedWords:
    """Predicts words from the pair [CLS] sentence with the word masked [SEP] sentence [SEP].

    Args:
      source: `LoadedModel` with its masked-LM head.
      tokenizer: its `BertTokenizer`.
      words: bool [vocabulary], the tokens that may be predicted.

    Raises:
      UserError: the model has no such head, or cannot read such pairs.
    """

    def __init__(self, source, tokenizer, words):
        _check(source)
        self._vocab = tokenizer.vocab
        self._mask_id = self._vocab.mask_id
        self._room = (source.config.max_position_embeddings - _SPECIALS) // 2
        self._words = words
        self._model = MaskedLanguageModel(source.config)
        self._model.load(source.arrays, source.source)
        ids, k = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.int32)
        inputs = ("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions")
        self._top = tf.function(
            self._top_words, input_signature=[dict.fromkeys(inputs, ids), k], autograph=False
        )

    def predict(self, queries, count):
        """Returns the likeliest words (tuple of str, in the vocabulary's order) of each query.

        The word that stands there is not among them, so there may be none.

        Args:
          queries: [(ids, position)]: a sentence's pieces (int [n]), and that of the word.
          count: words per query, at most.
        """
        if not queries:
            return []
        pairs = [self._pair(ids, position) for ids, position in queries]
        store = FeatureStore(
            ids=np.concatenate([pair for pair, _ in pairs]),
            offsets=np.cumsum([0, *(len(pair) for pair, _ in pairs)]),
            first_lengths=[(len(pair) - _SPECIALS) // 2 + 2 for pair, _ in pairs],
            labels=None,
            fingerprint="masked words",
        )
        positions = np.array([[position] for _, position in pairs], np.int32)
        plan = eval_plan(store.lengths, token_budget=max(TOKEN_BUDGET, store.lengths.max()))
        found = [()] * len(queries)
        for step in range(plan.steps):
            chosen = plan.ids(step)
            inputs, _ = store.batch(chosen)
            inputs["masked_lm_positions"] = positions[chosen]
            k = min(count + 1, len(self._words))  # the word itself may be one
            for query, top in zip(chosen, self._top(inputs, k).numpy(), strict=True):
                ids, position = queries[query]
                found[query] = self._candidates(top, ids[position], count)
        return found

    def _pair(self, ids, position):
        """(ids of the pair int32 [2 n + 3], place of the mask), cut around it if there is need."""
        start = min(max(position - self._room // 2, 0), max(len(ids) - self._room, 0))
        ids = np.array(ids[start : start + self._room], np.int32)
        masked = ids.copy()
        masked[position - start] = self._mask_id
        cls, sep = [self._vocab.cls_id], [self._vocab.sep_id]
        pair = np.concatenate([cls, masked, sep, ids, sep]).astype(np.int32)
        return pair, position - start + 1

    def _top_words(self, inputs, k):
        """int32 [batch, k]: the likeliest words, those that may not be predicted last."""
        logits = self._model(inputs)[:, 0, : len(self._words)]
        logits = tf.where(self._words, logits, logits.dtype.min)
        return tf.math.top_k(logits, k).indices

    def _candidates(self, top, own, count):
        allowed = [i for i in top if self._words[i] and i != own][:count]
        # In an order that does not depend on the last bits of the logits.
        return tuple(self._vocab.tokens[i] for i in sorted(allowed))


def _check(source):
    config = source.config
    missing = [n for n in names.head_shapes(config) if n.startswith(_HEAD)]
    missing = [name for name in missing if name not in source.arrays]
    if missing:
        why = next((x for x in source.left.values() if x.startswith("masked-LM head")), None)
        raise UserError(
            f"--model_dir: {source.source} holds no {missing[0]}{f' ({why})' if why else ''}, of"
            " the masked-LM head that predicts words: give a pre-trained model with its head, such"
            " as Google's downloads, Hugging Face's bert-base-uncased, or what run_pretraining.py"
            " writes"
        )
    if kernels.factorized_ranks(config, source.arrays):
        raise UserError(
            f"--model_dir: {source.source} is factorised: give the dense model it was made of"
        )
    if not config.reads_pairs:
        raise UserError(
            f"--model_dir: {source.source} knows single texts only (type_vocab_size 1), and words"
            " are predicted from pairs: give a model with two token types"
        )
    if config.max_position_embeddings < _SPECIALS + 2:
        raise UserError(
            f"--model_dir: {source.source} has {config.max_position_embeddings} positions, expected"
            f" {_SPECIALS + 2} or more: give another model"
        )
