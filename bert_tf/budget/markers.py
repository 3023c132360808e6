"""Markers: the shares of the budget at which a complete model folder is written."""

from bert_tf.errors import UserError


def parse_markers(text, end=1.0, flag="finetune_time_markers"):
    """Returns the shares of a comma-separated list such as `0.25,0.5`, ascending, each once.

    Args:
      text: the list; None or empty for none.
      end: share of the budget at which the run stops.
      flag: name of the flag in errors.

    Raises:
      UserError: not a number, outside (0, 1], or after `end`.
    """
    shares = set()
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        try:
            share = float(part)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            raise UserError(f"--{flag}={text}: {part!r}: expected shares in (0, 1]")
        if share > end:
            raise UserError(
                f"--{flag}={text}: {part} is never reached, the run stops at {end:g} of the budget"
            )
        shares.add(share)
    return sorted(shares)


def marker_name(share):
    """Returns the folder name of the marker at `share`: `marker-0.25`."""
    return f"marker-{share:g}"
