"""What benchmarks.latency measured, as tables and as a picture."""

from matplotlib.figure import Figure

_DPI = 120


def size_table(sizes):
    """Markdown: what needs no clock, with shares of the first model's.

    "model files" are the checkpoint's, or what was exported for another runtime; never the
    tokenizer's, which weigh the same everywhere.

    Args:
      sizes: {name: dict of `worker.describe`, and `memory` in bytes}.
    """
    first = next(iter(sizes.values()))
    lengths = list(first["flops"])
    flops = "".join(f" | kernel GFLOP per example of {length}" for length in lengths)
    lines = [
        f"| model | model files | parameters | encoder kernel parameters{flops} | memory |",
        "|---" * (5 + len(lengths)) + "|",
    ]
    for name, size in sizes.items():
        cells = [
            name,
            _share(f"{size['bytes'] / 1e6:.1f} MB", size["bytes"], first["bytes"]),
            _share(f"{size['parameters']:,}", size["parameters"], first["parameters"]),
            _share(
                f"{size['kernel_parameters']:,}",
                size["kernel_parameters"],
                first["kernel_parameters"],
            ),
            *(
                _share(f"{size['flops'][n] / 1e9:.3f}", size["flops"][n], first["flops"][n])
                for n in lengths
            ),
            _memory(size["memory"], first["memory"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def latency_table(latency):
    """Markdown: a line for each shape and model.

    Args:
      latency: {(batch, length): {name: figures of `latency.summarise`}}.
    """
    lines = [
        "| batch x length | model | p50 ms | p95 ms | examples/s | latency, ratio (range) |",
        "|---|---|---|---|---|---|",
    ]
    for (batch, length), models in latency.items():
        for name, figures in models.items():
            median, least, largest = figures["ratio"]
            lines.append(
                f"| {batch} x {length} | {name} | {figures['p50'] * 1e3:.2f}"
                f" | {figures['p95'] * 1e3:.2f} | {figures['throughput']:.1f}"
                f" | {median:.2f}x ({least:.2f} to {largest:.2f}) |"
            )
    return "\n".join(lines)


def save_image(path, sizes, latency):
    """Writes a PNG: sizes and latencies of every model as shares of the first one's.

    Args:
      path: file to write.
      sizes, latency: as `size_table` and `latency_table` take them.

    Raises:
      OSError: it cannot be written.
    """
    base = next(iter(sizes.values()))
    keys = {"parameters": "all\nparameters", "kernel_parameters": "encoder\nkernels"}
    groups = [
        *((text, {n: s[key] / base[key] for n, s in sizes.items()}) for key, text in keys.items()),
        *(
            (f"latency\n{batch} x {length}", {n: f["ratio"][0] for n, f in models.items()})
            for (batch, length), models in latency.items()
        ),
    ]
    width = max(6.0, 1 + 0.32 * len(groups) * (len(sizes) + 1))  # inches
    figure = Figure(figsize=(width, 3.8), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(sizes):
        shares = [shares[name] for _, shares in groups]
        left = [i + (place - (len(sizes) - 1) / 2) * 0.8 / len(sizes) for i in range(len(groups))]
        bars = axes.bar(left, shares, 0.8 / len(sizes), label=name)
        axes.bar_label(bars, [f"{share:.2f}" for share in shares], fontsize=7, padding=1)
    axes.set_xticks(range(len(groups)), [text for text, _ in groups], fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.axvline(len(keys) - 0.5, color="lightgrey", linewidth=0.8)
    axes.set_ylabel(f"relative to {next(iter(sizes))}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=min(6, len(sizes)), fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=_DPI)


def _memory(value, base):
    """Of a model that was exported in its own process nothing is known."""
    if value is None:
        return ""
    return _share(f"{value / 1e6:.0f} MB", value, base)


def _share(text, value, base):
    """`text (62 %)`; the first model's own is 100 %."""
    return f"{text} ({value / base:.0%})" if base else text
