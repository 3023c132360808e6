"""Lines of text in, lines of predictions out: what predict.py runs."""

import contextlib

from bert_tf import files, text_lines
from bert_tf.errors import UserError
from bert_tf.options import check_table, refuse_if


def run(options):
    """Predicts as `PredictOptions` say.

    Raises:
      UserError: bad input; an output file is then as it was.
    """
    check_table(options)
    text_lines.check_paths(options)
    from bert_tf.serving.classifier import Classifier  # loads what --help does not need

    with contextlib.ExitStack() as opened:
        lines, name = text_lines.open_input(options.input_file, opened)
        classify = Classifier(
            options.model_dir, options.threads, options.batch_size, options.verify
        )
        artefact = classify.artefact
        refuse_if(
            artefact.kind == "encoder",
            f"--model_dir={options.model_dir}: is an encoder, which has no labels: expected a"
            " classifier or a regression",
        )
        pairs = artefact.pairs if options.pairs is None else options.pairs
        output = text_lines.open_output(options.output_file, opened)
        for texts in text_lines.chunks(_rows(lines, name, pairs)):
            output.writelines(_line(x, artefact.kind) for x in classify(texts))
            output.flush()


def main(options):
    """Predicts; a reader of the standard output who has enough, such as head, ends it."""
    return text_lines.exit_status(run, options)


def _rows(lines, name, pairs):
    """Yields the text or the pair of each line; `pairs` is None where nothing says which."""
    for where, text in text_lines.texts(lines, name):
        if pairs is None and "\t" in text:
            raise UserError(
                f"{where}: holds a tab, and nothing says whether the model was fine-tuned on pairs:"
                " give --pairs where a line is two texts, --pairs=false where it is one"
            )
        yield _pair(text, where) if pairs else text


def _pair(text, where):
    parts = text.split("\t")
    if len(parts) != 2:
        raise UserError(
            f"{where}: found {len(parts) - 1} tabs, expected one, between two texts (--pairs=false"
            " where a line is one text)"
        )
    return tuple(parts)


def _line(found, kind):
    if kind == "regression":
        return f"{found.score:.8g}\n"
    return files.table_row([found.label, f"{found.probability:.8g}"])
