"""Options of create_pretraining_data.py (no TensorFlow)."""

import dataclasses

from bert_tf.checkpoints.options import model_flag, one_spelling
from bert_tf.data.pretraining.text import INPUT_FORMATS
from bert_tf.errors import UserError
from bert_tf.options import Needs, at_least, between, check_table, option, require

_INPUT = "Text"
_VOCABULARY = "Vocabulary"
_OUTPUT = "Output"
_PACKED = "Packed rows (masks are drawn while training)"
_GOOGLE = "Google's TFRecords (static masks, next sentences)"

_LEARN = Needs("--learn_vocab", lambda options: options.learn_vocab)
_TO_ROWS = Needs("--output_format=packed", lambda options: options.output_format == "packed")
_TO_RECORDS = Needs("--output_format=google", lambda options: options.output_format == "google")
_VOCABULARY_TO_ROWS = dataclasses.replace(
    _TO_ROWS,
    hint=": TFRecords hold no vocabulary; make packed rows with it and use their vocab.txt",
)


@dataclasses.dataclass(kw_only=True)
class PretrainingDataOptions:
    """Which text becomes which data; names and defaults are Google's where it has them."""

    GROUPS = (_INPUT, _VOCABULARY, _OUTPUT, _PACKED, _GOOGLE)

    given: frozenset = frozenset()

    input_file: str | None = option(
        None,
        "Raw text in UTF-8, plain or .gz: files, folders (with all below them) or globs, separated"
        " by commas. Required.",
        _INPUT,
        required="the raw text",
    )
    input_format: str = option(
        "auto",
        "lines: a document per line. blank_lines: blank lines between documents (Google's, with a"
        " sentence per line). wikiextractor: <doc ...> to </doc>, the title left out. jsonl: a"
        " JSON object per line, whose text is a document. auto: for each file what its first"
        " megabyte shows; blank_lines, not lines, for Google's TFRecords.",
        _INPUT,
        choices=INPUT_FORMATS,
    )
    vocab_file: str | None = option(
        None, "vocab.txt. This, --model_dir or --learn_vocab is required.", _VOCABULARY
    )
    model: str | None = model_flag(_VOCABULARY)
    model_dir: str | None = option(
        None,
        "Model folder whose vocabulary and tokenizer settings to use: to go on training that"
        " model.",
        _VOCABULARY,
    )
    do_lower_case: bool | None = option(
        None,
        "Lower-case the text and strip accents, as an uncased vocabulary needs it. Default: as the"
        " model folder or the vocabulary show; true for a new one.",
        _VOCABULARY,
    )
    learn_vocab: bool = option(
        False,
        "Learn a WordPiece vocabulary from the text first (packed rows only).",
        _VOCABULARY,
        needs=_VOCABULARY_TO_ROWS,
    )
    vocab_size: int = option(
        30522,
        "Tokens of the learned vocabulary at most, special ones included.",
        _VOCABULARY,
        valid=at_least(1),
        needs=_LEARN,
    )
    vocab_sample_mb: int = option(
        50,
        "Text to learn the vocabulary from, in millions of characters, drawn at random from a"
        " larger corpus.",
        _VOCABULARY,
        valid=at_least(1),
        needs=_LEARN,
    )
    output_format: str | None = option(
        None,
        "packed: full rows of tokens. google: TFRecords. Default: packed with --output_dir, google"
        " with --output_file.",
        _OUTPUT,
        choices=("packed", "google"),
    )
    max_seq_length: int = option(
        128,
        "Tokens of a row or an example at most, special ones included.",
        _OUTPUT,
        valid=at_least(5),
    )
    random_seed: int = option(12345, "Seed of everything random.", _OUTPUT, valid=at_least(0))
    output_dir: str | None = option(
        None,
        "Folder to write; appears when it is complete. Required for packed rows.",
        _PACKED,
        needs=_TO_ROWS,
    )
    validation_fraction: float = option(
        0.005,
        "Share of the documents that is held out for validation (more where that would be less than"
        " one row); 0 holds nothing out.",
        _PACKED,
        valid=between(0, 1, "[)"),
        needs=_TO_ROWS,
    )
    num_shards: int = option(
        8,
        "Files that the training rows are spread over, 400 at most.",
        _PACKED,
        valid=between(1, 400),
        needs=_TO_ROWS,
    )
    num_workers: int | None = option(
        None,
        "Processes that tokenise; one per CPU core when not given, one for a small corpus. The"
        " result is the same.",
        _PACKED,
        valid=at_least(1),
        needs=_TO_ROWS,
    )
    overwrite: bool = option(
        False,
        "Replace the data that output_dir holds, once the new is complete.",
        _PACKED,
        needs=_TO_ROWS,
    )
    output_file: str | None = option(
        None,
        "TFRecord file to write, or several, separated by commas, filled in turn. Required for"
        " Google's TFRecords.",
        _GOOGLE,
        needs=_TO_RECORDS,
    )
    max_predictions_per_seq: int = option(
        20, "Masked tokens per example at most.", _GOOGLE, valid=at_least(1), needs=_TO_RECORDS
    )
    masked_lm_prob: float = option(
        0.15,
        "Share of the tokens that is masked.",
        _GOOGLE,
        valid=between(0, 1, "()"),
        needs=_TO_RECORDS,
    )
    do_whole_word_mask: bool = option(
        False, "Mask all pieces of a word or none.", _GOOGLE, needs=_TO_RECORDS
    )
    dupe_factor: int = option(
        10,
        "Copies of the text, each with other masks.",
        _GOOGLE,
        valid=at_least(1),
        needs=_TO_RECORDS,
    )
    short_seq_prob: float = option(
        0.1,
        "Share of the documents that is cut into shorter examples, per copy.",
        _GOOGLE,
        valid=between(0, 1),
        needs=_TO_RECORDS,
    )

    def __post_init__(self):
        one_spelling(self)

    def check(self):
        """Settles `output_format`; raises `UserError` for missing, wrong and useless flags."""
        if self.output_format is None:
            self.output_format = "google" if self.output_file and not self.output_dir else "packed"
        packed = self.output_format == "packed"
        least = "8 or more" if packed else "5 or more: [CLS] a [SEP] b [SEP]"
        length = self.max_seq_length
        require("max_seq_length", length, length >= (8 if packed else 5), least)
        check_table(self)
        needed = "output_dir" if packed else "output_file"
        if not getattr(self, needed):
            raise UserError(f"--{needed} is required for --output_format={self.output_format}")
        self._check_vocabulary()

    def _check_vocabulary(self):
        sources = [f for f in ("vocab_file", "model_dir", "learn_vocab") if getattr(self, f)]
        if len(sources) != 1:
            found = "none of them" if not sources else " and ".join(f"--{f}" for f in sources)
            raise UserError(
                f"give one of --vocab_file, --model_dir and --learn_vocab, found {found}"
            )
