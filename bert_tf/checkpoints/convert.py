"""One model, written in any of the formats that are read."""

from bert_tf.checkpoints import forms, head, huggingface, model_folder, shapes, tf_models
from bert_tf.checkpoints.report import LoadReport
from bert_tf.errors import UserError
from bert_tf.packages import require_tf_models

FORMATS = ("google", "huggingface", "tf_models")
_FORMS = {
    "google": forms.model_folder(),
    "huggingface": forms.HUGGINGFACE,
    "tf_models": forms.model_folder(object_based=True),
}


def convert(model, output, output_format="google"):
    """Writes a loaded model as a folder.

    Args:
      model: `model_folder.LoadedModel`.
      output: the folder, made if need be; an earlier output in the same format is replaced whole.
      output_format: `google` (a model folder), `huggingface`, or `tf_models` (a model folder whose
        checkpoint is object-based).

    Returns:
      A `LoadReport` of what was written, and of what was left: in the source, or because the
      format has no place for it.

    Raises:
      UserError: unknown format, the model cannot be represented in it, or `output` holds anything
        else or cannot be written; it is then untouched.
    """
    check_output(output, output_format)
    config = model.config
    if model.do_lower_case is not None:
        config = config.replace(extra={**config.extra, "do_lower_case": model.do_lower_case})
    left = _WRITERS[output_format](output, config, model)
    written = [name for name in model.arrays if name not in left]
    way = f"{model.source} -> {output} ({output_format})"
    left = {**model.left, **left}
    return LoadReport(way, written, left, verb="converted", remarks=model.remarks)


def check_output(output, output_format="google"):
    """Refuses a folder that must not be written, before any work, see `forms.check_output`.

    Raises:
      UserError: unknown format, one that needs tf-models-official where that is not installed, or
        `output` holds anything but an earlier output of that format.
    """
    if output_format not in FORMATS:
        raise UserError(f"output_format must be one of {', '.join(FORMATS)}, not {output_format!r}")
    if output_format == "tf_models":
        require_tf_models("--output_format=tf_models")
    forms.check_output(output, _FORMS[output_format], "output")


def _write_google(output, config, model):
    with forms.output(output, _FORMS["google"], "output") as new:
        model_folder.save_model_folder(new, config, model.arrays, model.vocab_file, model.task)
    return {}


def _write_huggingface(output, config, model):
    return huggingface.write(output, config, model.arrays, model.vocab_file, model.task)


def _write_tf_models(output, config, model):
    found = head.describe(model)
    if found and found.unit == head.WORDS:
        raise UserError(
            f"{model.source}: has a classifier of words, which the form of tf-models-official holds"
            " no place for here: give --output_format=huggingface"
        )
    with forms.output(output, _FORMS["tf_models"], "output") as new:
        left = tf_models.write(new / forms.CHECKPOINT, config, model.arrays)
        config, _ = shapes.with_biases(config, model.arrays)  # as they are in the checkpoint
        config, _ = shapes.with_token_types(config, model.arrays)
        config = head.without_names(config, model.arrays, model.task)
        model_folder.write_description(new, config, model.vocab_file, model.task)
    return left


_WRITERS = {
    "google": _write_google,
    "huggingface": _write_huggingface,
    "tf_models": _write_tf_models,
}
