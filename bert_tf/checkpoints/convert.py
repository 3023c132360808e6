"""One model, written in any of the formats that are read."""

import pathlib

from bert_tf import files
from bert_tf.checkpoints import copying, huggingface, model_folder, tf_models
from bert_tf.checkpoints.report import LoadReport
from bert_tf.errors import UserError

FORMATS = ("google", "huggingface", "tf_models")


def convert(model, output, output_format="google"):
    """Writes a loaded model as a folder.

    Args:
      model: `model_folder.LoadedModel`.
      output: the folder, made if need be.
      output_format: `google` (a model folder), `huggingface`, or `tf_models` (a model folder whose
        checkpoint is object-based).

    Returns:
      A `LoadReport` of what was written, and of what was left: in the source, or because the
      format has no place for it.

    Raises:
      UserError: unknown format, the model cannot be represented in it, or it cannot be written.
    """
    if output_format not in FORMATS:
        raise UserError(f"output_format must be one of {', '.join(FORMATS)}, not {output_format!r}")
    config = model.config
    if model.do_lower_case is not None:
        config = config.replace(extra={**config.extra, "do_lower_case": model.do_lower_case})
    left = _WRITERS[output_format](output, config, model)
    written = [name for name in model.arrays if name not in left]
    way = f"{model.source} -> {output} ({output_format})"
    left = {**model.left, **left}
    return LoadReport(way, written, left, verb="converted", remarks=model.remarks)


def _write_google(output, config, model):
    model_folder.save_model_folder(output, config, model.arrays, model.vocab_file, model.task)
    return {}


def _write_huggingface(output, config, model):
    return huggingface.write(output, config, model.arrays, model.vocab_file, model.task)


def _write_tf_models(output, config, model):
    folder = pathlib.Path(output)
    left = tf_models.write(folder / model_folder.CHECKPOINT, config, model.arrays)
    config.save(folder / model_folder.CONFIG_FILE)
    if model.vocab_file:
        copying.copy_file(model.vocab_file, folder / model_folder.VOCAB_FILE)
    if model.task is not None:
        files.write_json(folder / model_folder.TASK_FILE, model.task)
    return left


_WRITERS = {
    "google": _write_google,
    "huggingface": _write_huggingface,
    "tf_models": _write_tf_models,
}
