"""Which levers a run used, as its flags, its results and its model's configuration say."""

from bert_tf.report.entry import at, mapping, number

_POLICIES = {"autofreeze": "AutoFreeze", "random": "random freezing", "schedule": "freezing"}
_PHASES = ("dynabertw", "dynabert", "final_finetuning")


def of(options, results, config, state):
    """Returns the tuple of names.

    Args:
      options: flags of results.json.
      results: results.json.
      config: bert_config.json of the model.
      state: training_state.json.
    """
    found = {
        "elastic": _elastic(options, config),
        "sub-network": _is_cut(config),
        **_kernels(config, results, state),
        "teacher": bool(options.get("teacher_model_dir")),
        **_freezing(options, results),
        "budget": bool(options.get("budget")) and "sequences" not in results,
        "augmentation": options.get("data_aug") is True,
    }
    return tuple(name for name, used in found.items() if used)


def _elastic(options, config):
    trained = [at(config, "dynabert", key) for key in ("widths", "depths")]
    several = any(isinstance(x, list) and len(x) > 1 for x in trained)
    lists = [options.get(f"{key}_mult_list") for key in ("width", "depth")]
    asked = any(isinstance(x, str) and "," in x for x in lists)
    return several or asked or options.get("training_phase") in _PHASES


def _is_cut(config):
    """Whether layers are gone, or heads and neurons are not what the hidden size asks for."""
    hidden, heads = number(config.get("hidden_size")), number(config.get("num_attention_heads"))
    size = number(config.get("attention_head_size"))
    uneven = bool(config.get("layer_heads") or config.get("layer_neurons"))
    fewer = bool(mapping(config.get("subnetwork")))
    return fewer or uneven or bool(hidden and heads and size and heads * size != hidden)


def _kernels(config, results, state):
    named = results.get("levers")
    masks = at(state, "identity", "mask training") is True
    masks = masks or (isinstance(named, list) and "masks" in named)
    return {"masks": masks, "pruned": bool(mapping(config.get("pruned_layers_dim"))) and not masks}


def _freezing(options, results):
    policy = options.get("freeze_policy") or at(results, "freezing", "policy")
    name = _POLICIES.get(policy if isinstance(policy, str) else "", "frozen layers")
    frozen = number(options.get("freeze_layers"))
    used = bool(frozen) or name != "frozen layers"
    return {name: used, "cache": used and options.get("activation_cache", "off") != "off"}
