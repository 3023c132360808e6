"""The logits of a model that was fine-tuned on the task."""

from bert_tf.checkpoints import head_matching
from bert_tf.checkpoints.model_folder import load_model, require_pooler
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.classification.evaluation import Evaluator
from bert_tf.classification.model import SequenceClassifier
from bert_tf.data.examples import Examples
from bert_tf.data.features import build_features
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.training import sources

_LENGTH = 128


class Teacher:
    """A fine-tuned model that reads texts as it did in its training.

    Args:
      folder: its model folder.

    Attributes:
      source: `LoadedModel`.
      digest: of its weights.
    """

    def __init__(self, folder):
        self.source = load_model(folder)
        require_pooler(self.source)
        self.digest = sources.digest(self.source.arrays)
        self._evaluator = self._tokenizer = None

    def prepare(self, task, pairs):
        """Makes the model give the logits of a task, in the order of its labels.

        Args:
          task: `Task`.
          pairs: whether its examples are pairs of texts.

        Raises:
          UserError: the model was fine-tuned on another task, or cannot read pairs.
        """
        if pairs and not self.source.config.reads_pairs:
            raise UserError(
                f"--teacher_model_dir: {self.source.source} knows single texts only"
                f" (type_vocab_size 1), task {task.name} has pairs: give another teacher"
            )
        source = head_matching.matched(self.source, task)
        advice = f"give a --teacher_model_dir that was fine-tuned on task {task.name}"
        head_matching.require(source, task, advice)
        model = SequenceClassifier(
            source.config,
            num_outputs=len(task.labels or [1]),
            regression=task.labels is None,
            encoder=BertEncoder(
                source.config, dense_factory=kernels.factory(source.config, source.arrays)
            ),
        )
        assign_arrays(model.model_weights, source.arrays, source.source)
        self._evaluator = Evaluator(model)
        self._tokenizer = tokenizer_of(source)

    def logits(self, text_a, text_b):
        """Returns float32 [n, labels], or [n, 1] of a regression.

        Args:
          text_a: list of n str.
          text_b: list of n str, None for single texts.

        Raises:
          UserError: an output is not finite.
        """
        saved = self.source.task or {}
        longest = self.source.config.max_position_embeddings
        ids = [str(i) for i in range(len(text_a))]
        store = build_features(
            Examples(ids, text_a, text_b, None, self.source.source),
            self._tokenizer,
            min(saved.get("max_seq_length", _LENGTH), longest),
            truncation="head" if text_b else saved.get("truncation", "head"),
        )
        try:
            return self._evaluator.logits(store)
        except UserError as e:
            raise UserError(f"--teacher_model_dir: {self.source.source}: {e}") from e
