"""Folders that look like runs, written without training."""

import json

DENSE = {
    "task": "sst-2",
    "metric": "accuracy",
    "metrics": {"dev": {"accuracy": 0.9, "loss": 0.3}},
    "stop_reason": "finished",
    "train_examples": 1000,
    "epochs": 3.0,
    "global_step": 90,
    "parameters": {"total": 2_000_000, "embeddings": 1},
    "seconds": {"total": 120.0},
    "command": "run_classifier.py --do_train=true",
    "environment": {"cpu": "A processor", "cores": 2, "time": "2030-01-02T03:04:05+00:00"},
}
CONFIG = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}


def write(path, value):
    """Writes JSON; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def run(folder, options=None, config=None, megabytes=8, **changes):
    """Writes a run of run_classifier.py; returns the folder.

    Args:
      folder: where.
      options: flags beside those of a training.
      config: more keys of bert_config.json.
      megabytes: of the checkpoint, None writes no model.
      **changes: of results.json; None leaves a key out.
    """
    flags = {"do_train": True, "seed": 1, "model_dir": "base", **(options or {})}
    results = {**DENSE, "options": flags, **changes}
    write(folder / "results.json", {k: v for k, v in results.items() if v is not None})
    if megabytes:
        write(folder / "bert_config.json", {**CONFIG, **(config or {})})
        with open(folder / "bert_model.ckpt.data-00000-of-00001", "wb") as f:
            f.truncate(int(megabytes * 1e6))  # without blocks on the disk
    return folder


def several(folder):
    """Writes a dense run and others of each kind and state below `folder`; returns it."""
    run(folder / "dense")
    run(
        folder / "small", {"teacher_model_dir": "dense"},
        {"pruned_layers_dim": {"bert/encoder/layer_0/output/dense_p/kernel": 3}}, 4,
        metrics={"dev": {"accuracy": 0.88}}, seconds={"total": 60.0},
        parameters={"total": 1_000_000},
    )  # fmt: skip
    run(
        folder / "frozen", {"freeze_layers": 1, "activation_cache": "disk"},
        metrics={"dev": {"accuracy": 0.91}}, seconds=None, command=None, environment=None,
    )  # fmt: skip
    state = {"step": 40, "identity": {"task": "sst-2", "steps": 90, "seed": 2}}
    write(folder / "killed" / "training_state.json", state)
    (folder / "broken").mkdir()
    (folder / "broken" / "results.json").write_text('{"metrics": ')
    (folder / "begun").mkdir()
    (folder / "begun" / "events.out.tfevents.1.host").write_bytes(b"")
    latency = {"8x128": {x: {"p50": p50} for x, p50 in (("dense", 0.05), ("small", 0.02))}}
    folders = {name: str(folder / name) for name in ("dense", "small")}
    write(
        folder / "latency.json",
        {"models": {"dense": {}, "small": {}}, "folders": folders, "latency": latency},
    )
    return folder
