"""Options of create_pretraining_data.py (no TensorFlow)."""

import dataclasses

from bert_tf.data.pretraining.text import INPUT_FORMATS
from bert_tf.errors import UserError
from bert_tf.options import option, require

_INPUT = "Text"
_VOCABULARY = "Vocabulary"
_OUTPUT = "Output"
_PACKED = "Packed rows (masks are drawn while training)"
_GOOGLE = "Google's TFRecords (static masks, next sentences)"
_LEARN_FLAGS = ("vocab_size", "vocab_sample_mb")


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
    model_dir: str | None = option(
        None,
        "Model folder whose vocabulary and tokenizer settings to use: to go on training that"
        " model.",
        _VOCABULARY,
    )
    do_lower_case: bool | None = option(
        None,
        "Lower-case the text and strip accents: as an uncased vocabulary needs it. Default: what"
        " --model_dir records, else true.",
        _VOCABULARY,
    )
    learn_vocab: bool = option(
        False, "Learn a WordPiece vocabulary from the text first (packed rows only).", _VOCABULARY
    )
    vocab_size: int = option(
        30522, "Tokens of the learned vocabulary at most, special ones included.", _VOCABULARY
    )
    vocab_sample_mb: int = option(
        50,
        "Text to learn the vocabulary from, in millions of characters, drawn at random from a"
        " larger corpus.",
        _VOCABULARY,
    )
    output_format: str | None = option(
        None,
        "packed: full rows of tokens. google: TFRecords. Default: packed with --output_dir, google"
        " with --output_file.",
        _OUTPUT,
        choices=("packed", "google"),
    )
    max_seq_length: int = option(
        128, "Tokens of a row or an example at most, special ones included.", _OUTPUT
    )
    random_seed: int = option(12345, "Seed of everything random.", _OUTPUT)
    output_dir: str | None = option(
        None, "Folder to write; appears when it is complete. Required for packed rows.", _PACKED
    )
    validation_fraction: float = option(
        0.005,
        "Share of the documents that is held out for validation (more where that would be less than"
        " one row); 0 holds nothing out.",
        _PACKED,
    )
    num_shards: int = option(
        8, "Files that the training rows are spread over, 400 at most.", _PACKED
    )
    num_workers: int | None = option(
        None,
        "Processes that tokenise; one per CPU core when not given, one for a small corpus. The"
        " result is the same.",
        _PACKED,
    )
    overwrite: bool = option(
        False, "Replace the data that output_dir holds, once the new is complete.", _PACKED
    )
    output_file: str | None = option(
        None,
        "TFRecord file to write, or several, separated by commas, filled in turn. Required for"
        " Google's TFRecords.",
        _GOOGLE,
    )
    max_predictions_per_seq: int = option(20, "Masked tokens per example at most.", _GOOGLE)
    masked_lm_prob: float = option(0.15, "Share of the tokens that is masked.", _GOOGLE)
    do_whole_word_mask: bool = option(False, "Mask all pieces of a word or none.", _GOOGLE)
    dupe_factor: int = option(10, "Copies of the text, each with other masks.", _GOOGLE)
    short_seq_prob: float = option(
        0.1, "Share of the documents that is cut into shorter examples, per copy.", _GOOGLE
    )

    def check(self):
        """Settles `output_format`; raises `UserError` for missing, wrong and useless flags."""
        if not self.input_file:
            raise UserError("--input_file is required: the raw text")
        if self.output_format is None:
            self.output_format = "google" if self.output_file and not self.output_dir else "packed"
        self._check_groups()
        self._check_vocabulary()
        google = self.output_format == "google"
        for name, holds, expected in (
            ("max_seq_length", self.max_seq_length >= (5 if google else 8),
             "5 or more: [CLS] a [SEP] b [SEP]" if google else "8 or more"),
            ("validation_fraction", 0 <= self.validation_fraction < 1, "a number in [0, 1)"),
            ("num_shards", 1 <= self.num_shards <= 400, "a number from 1 to 400"),
            ("num_workers", self.num_workers is None or self.num_workers >= 1, "1 or more"),
            ("max_predictions_per_seq", self.max_predictions_per_seq >= 1, "1 or more"),
            ("masked_lm_prob", 0 < self.masked_lm_prob < 1, "a number in (0, 1)"),
            ("dupe_factor", self.dupe_factor >= 1, "1 or more"),
            ("short_seq_prob", 0 <= self.short_seq_prob <= 1, "a number in [0, 1]"),
            ("vocab_sample_mb", self.vocab_sample_mb >= 1, "1 or more"),
        ):  # fmt: skip
            require(name, getattr(self, name), holds, expected)

    def _check_groups(self):
        google = self.output_format == "google"
        other, needed = (_PACKED, "output_file") if google else (_GOOGLE, "output_dir")
        for field in dataclasses.fields(self):
            if field.metadata.get("group") == other and field.name in self.given:
                raise UserError(
                    f"--{field.name} has no effect on --output_format={self.output_format}"
                )
        if not getattr(self, needed):
            raise UserError(f"--{needed} is required for --output_format={self.output_format}")

    def _check_vocabulary(self):
        sources = [f for f in ("vocab_file", "model_dir", "learn_vocab") if getattr(self, f)]
        if len(sources) != 1:
            found = "none of them" if not sources else " and ".join(f"--{f}" for f in sources)
            raise UserError(
                f"give one of --vocab_file, --model_dir and --learn_vocab, found {found}"
            )
        for flag in _LEARN_FLAGS:
            if flag in self.given and not self.learn_vocab:
                raise UserError(f"--{flag} has no effect without --learn_vocab")
        if self.learn_vocab and self.output_format == "google":
            raise UserError(
                "--learn_vocab has no effect on --output_format=google: TFRecords hold no"
                " vocabulary; make packed rows with it and use their vocab.txt"
            )
