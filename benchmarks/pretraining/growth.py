"""What data of growing size cost to make: for benchmarks.pretraining --experiment=growth."""

import json
import resource
import time


def repeat_text(source, path, megabytes):
    """Writes the text of `source` over and over until it has so many millions of bytes.

    Args:
      source: one file of text, its documents one per line or separated by blank lines.
      path: the file to write (`pathlib.Path`); left as it is if it is there.
      megabytes: its size, to the next line.

    Returns:
      `path`.
    """
    if path.exists():
        return path
    left = megabytes * 1_000_000
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as out:
        while left > 0:
            with open(source, "rb") as lines:
                for line in lines:
                    left -= out.write(line)
                    if left <= 0:
                        break
            left -= out.write(b"\n")
    temporary.rename(path)
    return path


def timed_creation(folder, create):
    """Makes a data folder by `create()`, a process of its own; returns what that took (dict).

    What was measured is kept beside the folder, for when it is there already.
    """
    figures = folder.with_suffix(".json")
    if not (folder.exists() and figures.exists()):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        create()
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        manifest = json.loads((folder / "manifest.json").read_text())
        found = {
            "bytes": manifest["input"]["bytes"],
            "tokens": manifest["tokens"],
            "seconds": wall,
            "cpu_seconds": cpu,
            # Of the largest process so far: sizes grow, so it is this one's unless it is smaller.
            "peak_memory_mb": after.ru_maxrss / 1024,
        }
        figures.write_text(json.dumps(found))
    return json.loads(figures.read_text())


def creation_table(made):
    """Markdown: what create_pretraining_data.py took for each size."""
    lines = [
        "| create_pretraining_data.py | tokens | wall | CPU s per 1M tokens | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, taken in made.items():
        lines.append(
            f"| {name} | {taken['tokens'] / 1e6:.2f} M | {taken['seconds']:.1f} s"
            f" | {1e6 * taken['cpu_seconds'] / taken['tokens']:.2f}"
            f" | {taken['peak_memory_mb'] / 1024:.2f} GB |"
        )
    return "\n".join(lines)
