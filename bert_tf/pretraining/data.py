"""What pre-training reads: packed rows or Google's TFRecords, as the training loop takes them."""

import glob
import math
import pathlib

import numpy as np

from bert_tf.checkpoints.model_folder import VOCAB_FILE
from bert_tf.checkpoints.model_tokenizer import settings_of
from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.data.pretraining.google_records import GoogleRecords, make_google_dataset
from bert_tf.data.pretraining.masking import Masking
from bert_tf.data.pretraining.order import RowOrder
from bert_tf.data.pretraining.pipeline import make_masked_lm_dataset
from bert_tf.errors import UserError
from bert_tf.pretraining.model import MaskedLMEvaluator
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import load_vocab
from bert_tf.training import distribution

# Google's defaults, for its files, which do not say.
_GOOGLE_LENGTH, _GOOGLE_PREDICTIONS = 128, 20


class PackedRows:
    """The packed rows of `--data_dir`, masked while training.

    Args:
      options: `PretrainingOptions`.

    Attributes:
      source: what `user_errors` asks for a failure.
      rows, held_out_rows: how many rows there are to train and to evaluate on.
      seq_length, predictions: tokens and masked tokens per row.
      vocab_size: tokens of the vocabulary.
      vocab_file: its path.
      tokenizer_settings: how the text was tokenised, `BertTokenizer.settings`; {} if unknown.
      fingerprint: how the rows were made, and how many there are.
      next_sentence: whether they have next-sentence labels.
    """

    next_sentence = False

    def __init__(self, options):
        self.source = Corpus.open(options.data_dir)
        self._masking = Masking(
            options.mlm_probability, whole_word=options.whole_word_masking, seed=options.seed
        )
        self.rows = self.source.rows("train")
        self.held_out_rows = self.source.rows("validation")
        self.seq_length = self.source.seq_length
        self.predictions = self._masking.predictions(self.seq_length)
        self.vocab_size = self.source.vocab_size
        self.vocab_file = str(pathlib.Path(options.data_dir) / VOCAB_FILE)
        self.tokenizer_settings = self.source.tokenizer_settings
        self.fingerprint = f"{self.source.fingerprint}, {self.rows} rows of {self.seq_length}"
        _require_length("max_seq_length", options.max_seq_length, self.seq_length)
        _require_length(
            "max_predictions_per_seq", options.max_predictions_per_seq, self.predictions
        )

    @property
    def corrupt_rows(self):
        """How many corrupt rows this process found and skipped."""
        return self.source.corrupt_rows

    def digests(self, held_out):
        """Returns {name: hex digest} of the training rows and, if asked for, the held-out ones."""
        found = {"training rows": self.source.digest("train")}
        return found | ({"held-out rows": self.source.digest("validation")} if held_out else {})

    def check_vocabulary(self, loaded):
        """Raises `UserError` unless the rows were made with the tokenizer of a `LoadedModel`.

        What the model does not record about case is the rows', for a new one all that it does not.
        """
        rows = self.tokenizer_settings
        unknown = rows if loaded.arrays is None else {"do_lower_case": rows["do_lower_case"]}
        vocab = load_vocab(loaded.vocab_file) if loaded.vocab_file else self.source.vocab
        tokenizer = BertTokenizer(vocab, **{**unknown, **settings_of(loaded)})
        Corpus.open(self.source.folder, tokenizer.fingerprint)

    def log_frequencies(self):
        """Returns float32 [vocab_size]: log of each token's share of those that may be masked.

        Tokens that do not occur, and special ones, count as occurring once.
        """
        counts = self.source.token_counts("train")
        counts[list(self.source.manifest["special_ids"].values())] = 0
        return np.log((counts + 1) / (counts + 1).sum()).astype(np.float32)

    def dataset(self, **place):
        """Returns the dataset of training batches; `place`: see `make_masked_lm_dataset`."""
        return make_masked_lm_dataset(self.source, "train", masking=self._masking, **place)

    def held_out(self, **place):
        """Returns the dataset of held-out batches, with the same masks at each evaluation."""
        return make_masked_lm_dataset(self.source, "validation", masking=self._masking, **place)


class GoogleRows:
    """Google's TFRecord files of `--input_file`; attributes and methods as of `PackedRows`.

    Held out are the records of `--eval_input_file`, or the training records, as in Google's
    program.
    """

    next_sentence = True

    def __init__(self, options, vocab_size):
        self.seq_length = options.max_seq_length or _GOOGLE_LENGTH
        self.predictions = options.max_predictions_per_seq or _GOOGLE_PREDICTIONS
        self.source = self._records(options.input_file, "input_file", vocab_size)
        self._held_out = self.source
        if options.eval_input_file:
            self._held_out = self._records(options.eval_input_file, "eval_input_file", vocab_size)
        self.rows, self.held_out_rows = len(self.source), len(self._held_out)
        self.vocab_size = vocab_size
        self.vocab_file = options.vocab_file
        self.tokenizer_settings = {}
        self.fingerprint = f"{self.rows} records of {self.seq_length}"

    @property
    def corrupt_rows(self):
        """How many corrupt records this process found and skipped."""
        return self.source.corrupt_rows

    def digests(self, held_out):
        """Returns {name: hex digest} of the training records and, if asked for, the held-out ones.

        They do not depend on where the files lie.
        """
        found = {"training records": self.source.digest}
        return found | ({"held-out records": self._held_out.digest} if held_out else {})

    def check_vocabulary(self, loaded):
        """Nothing: the records do not say how they were made; their ids were checked."""

    def dataset(self, **place):
        """Returns the dataset of training batches; `place`: see `make_google_dataset`."""
        return make_google_dataset(self.source, **place)

    def held_out(self, **place):
        """Returns the dataset of held-out batches."""
        return make_google_dataset(self._held_out, **place)

    def _records(self, globs, flag, vocab_size):
        paths = []
        for pattern in globs.split(","):
            found = sorted(glob.glob(pattern.strip()))
            if not found:
                raise UserError(f"--{flag}={globs}: no file fits {pattern!r}")
            paths += found
        return GoogleRecords(paths, self.seq_length, self.predictions, vocab_size)


class PretrainingSpec:
    """What `train_and_evaluate` trains on: the rows in their order, in the clock's batches.

    Args:
      data: `PackedRows` or `GoogleRows`.
      batches: `GrowingBatches`.
      seed: of the order.
    """

    steps = None

    def __init__(self, data, batches, seed):
        self.data = data
        self.batches = batches
        self._order = RowOrder(data.rows, batches.micro_batch_size, seed)

    def examples(self, step):
        """Returns how many rows update `step` (from 0) sees."""
        return self.batches.stages.batch(step)[1]

    def tokens(self, step):
        """Returns how many tokens update `step` sees."""
        return self.examples(step) * self.data.seq_length

    def epoch_of(self, step):
        """Returns the passes over the rows (float) before update `step`."""
        return self.batches.stages.rows(step) / self.data.rows

    def stage(self, model):
        """The batch size, which a ramp changes."""
        return self.batches.stages.batch_size

    def dataset(self, model, strategy, start_step):
        """Returns the batches from `start_step` on, as `fit` takes them under `strategy`."""
        batches, size = self.batches.stages.batch, self.batches.stages.batch_size

        def share(index, count):
            dataset = self.data.dataset(
                batches=batches,
                order=self._order,
                start_step=start_step,
                shard_index=index,
                shard_count=count,
            )
            if size % count:
                return dataset
            return dataset.map(lambda inputs: _with_rows(inputs, size // count))

        return distribution.distribute(strategy, share)


class HeldOutSpec:
    """What `train_and_evaluate` evaluates on: the first held-out rows, always the same.

    Args:
      data: `PackedRows` or `GoogleRows`.
      batch_size: rows per batch; the last may be smaller.
      max_steps: batches at most.

    Raises:
      UserError: there are no held-out rows.
    """

    def __init__(self, data, batch_size, max_steps):
        if not data.held_out_rows:
            raise UserError(
                "--do_eval: the data have no held-out rows: make them again with a"
                " --validation_fraction above 0, or leave --do_eval out"
            )
        self.data = data
        self.batch_size = batch_size
        self.steps = min(max_steps, math.ceil(data.held_out_rows / batch_size))

    def build(self, model):
        """Returns the `HeldOutEvaluation` of `model`."""
        return HeldOutEvaluation(model, self)


class HeldOutEvaluation:
    """Evaluates a `MaskedLanguageModel` on a `HeldOutSpec`."""

    metric = "loss"
    higher_is_better = False

    def __init__(self, model, spec):
        self._steps = spec.steps
        rows, size = spec.data.held_out_rows, spec.batch_size

        def batch(step):
            return step * size, min(size, rows - step * size)

        dataset = spec.data.held_out(batches=batch, steps=spec.steps)
        self._evaluator = MaskedLMEvaluator(model, dataset)

    @property
    def seconds(self):
        """Seconds spent so far."""
        return self._evaluator.seconds

    def measure(self):
        """Returns the seconds that an evaluation will take."""
        return self._evaluator.measure(self._steps)

    def evaluate(self):
        """Returns {"validation": {metric: float}}."""
        return {"validation": self._evaluator.evaluate()}


def _with_rows(inputs, rows):
    """The same batch with its number of rows known to the compiler."""
    return {name: _ensure_rows(x, rows) for name, x in inputs.items()}


def _ensure_rows(x, rows):
    x.set_shape([rows, *x.shape[1:]])
    return x


def _require_length(flag, given, found):
    if given is not None and given != found:
        raise UserError(
            f"--{flag}={given}: the data have {found}: make them again, or leave it out"
        )
