"""Lines of text in, the features of their tokens out: what extract_features.py runs."""

import contextlib

from absl import logging

from bert_tf import files, text_lines
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.data.table import counted
from bert_tf.features import layers as layers_lib
from bert_tf.features.extractor import Extractor
from bert_tf.features.writers import Arrays, JsonLines

SEPARATOR = " ||| "
"""What stands between the texts of a pair."""
_SECONDS = 30  # between two lines of progress


def run(options):
    """Writes the features that `ExtractionOptions` ask for.

    Raises:
      UserError: bad input; an output file is then as it was.
    """
    options.check()
    with contextlib.ExitStack() as opened:
        lines, name = text_lines.open_input(options.input_file, opened)
        extract = Extractor(
            load_model(
                options.model_dir or options.init_checkpoint,
                options.bert_config_file,
                options.vocab_file,
            ),
            None if options.layers is None else layers_lib.parse(options.layers),
            options.pooling,
            options.do_lower_case,
            options.max_seq_length,
            options.batch_size,
        )
        writer = _open_writer(options, extract, opened)
        count = tokens = full = 0
        for features in extract(_rows(lines, name, extract)):
            writer.write(features)
            count += 1
            tokens += len(features.ids)
            full += len(features.ids) == extract.max_seq_length
            logging.log_every_n_seconds(logging.INFO, "%d lines", _SECONDS, count)
    found = f"{counted(count, 'line', 'lines')}, {counted(tokens, 'token', 'tokens')}"
    if full:
        found += (
            f"; {counted(full, 'line has', 'lines have')} {extract.max_seq_length}, to which longer"
            " ones are cut (--max_seq_length)"
        )
    logging.info("%s", found)


def main(options):
    """Extracts; a reader of the standard output who has enough, such as head, ends it."""
    return text_lines.exit_status(run, options)


def _open_writer(options, extract, opened):
    if options.format == "jsonl":
        return JsonLines(text_lines.open_output(options.output_file, opened), options.pooling)
    path = opened.enter_context(files.atomic_path(options.output_file))
    return opened.enter_context(Arrays(path, extract.keys, extract.hidden_size, options.pooling))


def _rows(lines, name, extract):
    """Yields the text or the pair of each line, split as in Google's program."""
    for where, line in text_lines.texts(lines, name):
        first, separator, second = line.strip().rpartition(SEPARATOR)
        if separator:
            extract.check_pair(where)
        yield (first, second) if separator else second
