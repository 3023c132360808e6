"""What augment_data.py does, as its options say."""

import pathlib

import numpy as np
from absl import logging

from bert_tf.augmentation import output
from bert_tf.augmentation.candidates import Candidates
from bert_tf.augmentation.teacher import Teacher
from bert_tf.augmentation.variants import variants
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data import inputs
from bert_tf.data.augmented import default_path, digest_of_rows
from bert_tf.data.examples import make_examples
from bert_tf.data.options import InputOptions
from bert_tf.data.readers import format_of
from bert_tf.data.rows import RowOptions
from bert_tf.data.table import counted
from bert_tf.errors import UserError
from bert_tf.options import option_fields

# Attempts at a variant: as many as TinyBERT makes, and of other tasks.
_ATTEMPTS = {
    "cola": 30, "mnli": 10, "mnli-mm": 10, "mrpc": 30, "qnli": 20, "qqp": 10, "rte": 30,
    "sst-2": 20, "sts-b": 30,
}  # fmt: skip
_OTHERS = 20
# Texts handled at once: the squares of their characters, which the predicted pairs go with.
_CHUNK_COST = 1 << 22
_SECONDS = 30  # between two lines of progress


def run(options):
    """Writes the variants that `options` (`AugmentationOptions`) describe; returns a summary (str).

    Raises:
      UserError: anything wrong with flags, models, rows or output; nothing is then written.
    """
    options.check()
    teacher = Teacher(options.teacher_model_dir) if options.teacher_model_dir else None
    model = load_model(options.model_dir)
    task = _task(options, teacher.source if teacher else model)
    table, spec = task.source(options.data_dir, "train")
    examples = make_examples(
        table, text_a=spec.text_a, text_b=spec.text_b, label=spec.label,
        parse_labels=task.parse_labels,
    )  # fmt: skip
    if options.dataset and not options.output_file:
        raise UserError("--output_file is required with --dataset: the file to write")
    path = pathlib.Path(options.output_file or default_path(task, table.path, teacher is not None))
    custom = task.name == "custom"
    output.check_output(path, table.path, custom and not options.dataset)
    if teacher:
        teacher.prepare(task, examples.text_b is not None)
    tokenizer = tokenizer_of(model, options.do_lower_case)
    candidates = Candidates(model, tokenizer, options.candidates, options.glove_file)
    attempts = options.variants or _ATTEMPTS.get(task.name, _OTHERS)
    rows = _Rows(table, spec, candidates, teacher, attempts, options)
    about = {
        **_origin(options, task, teacher),
        "training_rows": digest_of_rows(examples, task),
        "attempts": attempts,
    }
    form = format_of(path) if custom else "tsv"
    found = output.write(path, table, form, rows.groups(), about)
    return (
        f"{counted(sum(found) - len(found), 'variant', 'variants')} of"
        f" {counted(len(found), 'training row', 'training rows')}\nWritten to {path}"
    )


def _origin(options, task, teacher):
    """What the description says of task, teacher and flags."""
    flags = {field.name: getattr(options, field.name) for field in option_fields(options)}
    return {
        "task": task.to_json(),
        "teacher": teacher and {"model": options.teacher_model_dir, "digest": teacher.digest},
        "seed": options.seed,
        "flags": {name: value for name, value in flags.items() if value is not None},
    }


def _task(options, source):
    known = {field.name for field in option_fields(InputOptions)}
    flags = {f.name: getattr(options, f.name) for f in option_fields(options) if f.name in known}
    return inputs.task_of(RowOptions(given=options.given, **flags), source)


class _Rows:
    """Makes the rows of a table and their variants."""

    def __init__(self, table, spec, candidates, teacher, attempts, options):
        self._rows = table.rows[: options.max_train_examples]
        self._texts = [table.index_of(x) for x in (spec.text_a, spec.text_b) if x is not None]
        self._label = table.index_of(spec.label)
        self._candidates = candidates
        self._teacher = teacher
        self._attempts = attempts
        self._options = options

    def groups(self):
        """Yields a list of rows for each row: itself, then its variants."""
        for chunk in self._chunks():
            rows = [self._rows[i] for i in chunk]
            slots = self._candidates.slots(row[text] for row in rows for text in self._texts)
            groups = [self._group(i, slots) for i in chunk]
            if self._teacher:
                self._write_logits([row for group in groups for row in group])
            yield from groups
            logging.log_every_n_seconds(
                logging.INFO, "%d of %d rows", _SECONDS, chunk[-1] + 1, len(self._rows)
            )

    def _chunks(self):
        """Yields ranges of rows of about `_CHUNK_COST`."""
        costs = [sum(len(row[text]) ** 2 for text in self._texts) for row in self._rows]
        chunks = np.cumsum(costs) // _CHUNK_COST
        bounds = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(costs)]
        yield from map(range, bounds[:-1], bounds[1:])

    def _group(self, number, slots):
        """The row of this number, then it with another first text, then with another second one."""
        row, options = self._rows[number], self._options
        found = [list(row)]
        for part, column in enumerate(self._texts):
            text, stream = row[column], (options.seed, number, part)
            # Beside the row's own other text, where the original has the last variant of it.
            for other in variants(
                text, slots[text], self._attempts, options.replace_probability, stream
            ):
                found.append([*row[:column], other, *row[column + 1 :]])
        return found

    def _write_logits(self, rows):
        text_a, *text_b = ([row[column] for row in rows] for column in self._texts)
        logits = self._teacher.logits(text_a, text_b[0] if text_b else None)
        for row, values in zip(rows, logits, strict=True):
            row[self._label] = " ".join(map(str, values))  # the shortest that reads back equal
