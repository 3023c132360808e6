"""A scatter plot as inline SVG: no library, no network, text that can be selected."""

import dataclasses
import math

from bert_tf.report.escaping import escaped

_WIDTH, _HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 44
_LOG_FROM = 20  # times the least that the largest x is, from which the axis is logarithmic
COLOURS = (
    "#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b3fa0",
    "#8a6d1d", "#c1272d",
)  # fmt: skip
_SHAPES = ("circle", "square", "diamond", "triangle")


@dataclasses.dataclass(frozen=True)
class Point:
    """A point.

    Attributes:
      x, y: where.
      series: number of its colour and shape.
      title: what a pointer over it shows.
      ringed: whether it is marked, as a baseline is.
    """

    x: float
    y: float
    series: int
    title: str
    ringed: bool = False


def marker(series, x=0.0, y=0.0, size=4.5):
    """Returns the SVG element of a series at a place, without its closing `/>`."""
    colour = COLOURS[series % len(COLOURS)]
    shape = _SHAPES[series // len(COLOURS) % len(_SHAPES)]
    style = f'fill="{colour}" fill-opacity="0.75" stroke="{colour}"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {style}'
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
    }[shape]
    path = " ".join(f"{x + a * size:.1f},{y + b * size:.1f}" for a, b in corners)
    return f'<polygon points="{path}" {style}'


def scatter(points, x_label, y_label):
    """Returns an `<svg>` element (str).

    Args:
      points: list of `Point`, one at least; those that are ringed have a line across at their y.
      x_label, y_label: of the axes.
    """
    xs, ys = [p.x for p in points], [p.y for p in points]
    log = min(xs) > 0 and max(xs) > _LOG_FROM * min(xs)
    across = _Axis(xs, _LEFT, _WIDTH - _RIGHT, log)
    up = _Axis(ys, _HEIGHT - _BOTTOM, _TOP)
    label = escaped(f"{y_label} against {x_label}")
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">']
    for value, place in up.ticks():
        parts.append(_line(_LEFT, place, _WIDTH - _RIGHT, place, "grid"))
        parts.append(_text(_LEFT - 6, place + 4, value, "end"))
    for value, place in across.ticks():
        parts.append(_line(place, _TOP, place, _HEIGHT - _BOTTOM, "grid"))
        parts.append(_text(place, _HEIGHT - _BOTTOM + 16, value, "middle"))
    for y in sorted({point.y for point in points if point.ringed}):
        parts.append(_line(_LEFT, up.place(y), _WIDTH - _RIGHT, up.place(y), "base"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_label, "middle"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(_text(13, middle, y_label, "middle", f' transform="rotate(-90 13 {middle:.1f})"'))
    for point in points:
        x, y = across.place(point.x), up.place(point.y)
        if point.ringed:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" class="ring"/>')
        name = marker(point.series, x, y)
        tag = name[1 : name.index(" ")]
        parts.append(f"{name}><title>{escaped(point.title)}</title></{tag}>")
    return "".join([*parts, "</svg>"])


class _Axis:
    """Values along a line of the picture, with a margin on both sides.

    Args:
      values: list of numbers.
      start, end: the line's ends, pixels.
      log: whether equal ratios are equal lengths; all values are then positive.
    """

    def __init__(self, values, start, end, log=False):
        self._log = log
        scaled = [self._scaled(value) for value in values]
        low, high = min(scaled), max(scaled)
        apart = high - low > 1e-9 * max(abs(low), abs(high))
        margin = 0.06 * (high - low) if apart else 0.05 * abs(high) or 0.5
        self._low, self._high = low - margin, high + margin
        if not log and low >= 0 > self._low:
            self._low = 0.0
        self._start, self._end = start, end

    def _scaled(self, value):
        return math.log10(value) if self._log else value

    def place(self, value):
        """Returns where a value is, pixels."""
        share = (self._scaled(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self):
        """Returns [(text, place)] of round values."""
        values = self._round_powers() if self._log else self._round_steps()
        return [(f"{value:,.6g}", self.place(value)) for value in values]

    def _round_steps(self):
        rough = (self._high - self._low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * x for x in (1, 2, 5, 10) if power * x >= rough)
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        return [float(f"{i * step:.10g}") for i in range(first, last + 1)]

    def _round_powers(self):
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        found = [x * 10.0**power for power in powers for x in (1, 2, 5)]
        return [x for x in found if self._low <= math.log10(x) <= self._high]


def _line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x, y, text, anchor, more=""):
    shown = escaped(text)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{shown}</text>'
