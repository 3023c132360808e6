"""A sub-network as a model folder."""

from bert_tf import files
from bert_tf.checkpoints import forms
from bert_tf.checkpoints.model_folder import save_model_folder
from bert_tf.dynabert.costs import size_of
from bert_tf.dynabert.export import export
from bert_tf.encoder import Subnetwork


def check_output(folder, source, flag="output_dir"):
    """Refuses a folder that holds anything but an earlier output, before any work.

    Args:
      folder: to be written.
      source: the model to start from, a folder or a checkpoint.
      flag: that names the folder.

    Raises:
      UserError: naming the flag and what was found.
    """
    files.refuse_same_folder(flag, folder, source)
    forms.check_output(folder, forms.model_folder(), flag)


def save(model, subnetwork, folder, flag="output_dir", also=None):
    """Writes a sub-network as a model folder that every program here reads.

    Args:
      model: `LoadedModel`; its task and vocabulary go with the sub-network.
      subnetwork: `Subnetwork` of it.
      folder: where; an earlier output is replaced whole.
      flag: that names the folder.
      also: callable (folder) that writes more of a model folder's files.

    Raises:
      UserError: the folder holds anything else or cannot be written; it is then untouched.
    """
    files.make_output_dir(folder, flag)
    config, arrays = export(model.config, model.arrays, subnetwork)
    with forms.output(folder, forms.model_folder(), flag) as new:
        save_model_folder(new, config, arrays, model.vocab_file, model.task)
        if also:
            also(new)


def table(model, subnetwork):
    """Returns text: a line for each layer of the sub-network, then what is left of the model.

    Args:
      model: `LoadedModel`.
      subnetwork: `Subnetwork` of it.
    """
    lines = ["layer  from     heads       neurons"]
    parts = zip(subnetwork.layers, subnetwork.units, strict=True)
    for place, (layer, (heads, neurons)) in enumerate(parts):
        most = model.config.units_of(layer)
        lines.append(
            f"{place:>5}  {layer:>4}  {heads:>2} of {most[0]:<2}  {neurons:>5} of {most[1]}"
        )
    before, after = (
        size_of(model.config, model.arrays, part, length=1)
        for part in (Subnetwork.of(model.config), subnetwork)
    )
    lines.append(
        f"{len(subnetwork.layers)} of {model.config.num_hidden_layers} layers,"
        f" {before.parameters:,} -> {after.parameters:,} parameters"
        f" ({after.parameters / before.parameters:.1%}), {before.megabytes:.1f} ->"
        f" {after.megabytes:.1f} MB"
    )
    return "\n".join(lines)
