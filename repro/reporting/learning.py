"""Learning curves as inline SVG: a line for each setting, its seeds as a band.

Colours are classes `c0` to `c7` of the page's style sheet, so that they suit dark and light.
"""

import dataclasses
import html
import math
import re
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 214, 46, 10, 24, 34
COLOURS = 8  # more lines than that are grey
POINTS = 90  # of a line
# Of each kind the first that rows have: a loss, an accuracy, a curvature.
KINDS = (
    (r"train/loss", r"train/running_loss", r"\w+/\w*loss"),
    (r"test/accuracy", r"train/accuracy", r"\w+/\w*accuracy"),
    (r"curvature/sharpness", r"curvature/\w+"),
)


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone: what sets them apart from others, rows of each seed."""

    label: str
    seeds: Sequence[Sequence[Mapping]]


def groups(runs: Sequence[tuple[Mapping, Sequence[Mapping]]]) -> list[Group]:
    """Return runs grouped by settings but for the seed, labelled by what sets them apart.

    Args:
      runs: settings and rows of metrics of each.
    """
    leading = list(together([settings for settings, _ in runs]))
    found = {}
    for settings, rows in runs:
        key = tuple((k, str(v)) for k, v in sorted(settings.items()) if k != "seed")
        label = ", ".join(f"{name} {shown(settings.get(name))}" for name in leading)
        found.setdefault(key, (label, []))[1].append(rows)
    return [Group(label, seeds) for label, seeds in found.values()]


def differing(settings: Sequence[Mapping]) -> list[str]:
    """Return the names of settings, but the seed, that are not the same in all."""
    names = dict.fromkeys(name for each in settings for name in each if name != "seed")
    return [name for name in names if len({str(each.get(name)) for each in settings}) > 1]


def together(settings: Sequence[Mapping]) -> dict[str, list[str]]:
    """Return settings that vary -> others that vary in step with them, and so tell no more.

    Among those in step words go before numbers, as they say what was meant.
    """
    found = {}
    for name in differing(settings):
        values = [str(each.get(name)) for each in settings]
        found.setdefault(tuple(map(values.index, values)), []).append(name)
    leaders = {}
    for names in found.values():
        words = [n for n in names if any(isinstance(each.get(n), str) for each in settings)]
        leader = (words or names)[0]
        leaders[leader] = [name for name in names if name != leader]
    return leaders


def shown(value) -> str:
    """Return a setting's value as a reader sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "+".join(map(str, value)) or "none"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def panels(found: Sequence[Group]) -> list[str]:
    """Return a panel as SVG for each kind of quantity that the runs logged; text is escaped."""
    names = dict.fromkeys(
        name
        for group in found
        for rows in group.seeds
        for row in rows
        for name in row
        if "/" in name
    )
    chosen = (_first(kinds, names) for kinds in KINDS)
    drawn = (_panel(quantity, found) for quantity in chosen if quantity)
    return [panel for panel in drawn if panel]


def _first(patterns: Sequence[str], names: Mapping) -> str | None:
    for pattern in patterns:
        for name in names:
            if re.fullmatch(pattern, name):
                return name
    return None


def _panel(quantity: str, found: Sequence[Group]) -> str | None:
    series = [[_points(rows, quantity) for rows in group.seeds] for group in found]
    points = [point for group in series for seed in group for point in seed.items()]
    if not any(len(seed) > 1 for group in series for seed in group):
        return None
    values = [y for _, y in points]
    logarithmic = "loss" in quantity and min(values) > 0 and max(values) > 30 * min(values)
    transform = math.log10 if logarithmic else float
    xs, ys = [x for x, _ in points], [transform(y) for y in values]
    low, high = min(ys), max(ys)
    pad = 0.04 * (high - low) or max(abs(high), 1) * 0.05
    low, high = low - pad, high + pad

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - min(xs)) / (max(xs) - min(xs))
        up = (transform(y) - low) / (high - low)
        right, down = across * (WIDTH - LEFT - RIGHT), up * (HEIGHT - TOP - BOTTOM)
        return LEFT + right, HEIGHT - BOTTOM - down

    rows = [row for group in found for seed in group.seeds for row in seed]
    unit = "step" if all(row.get("step") == row["epoch"] for row in rows) else "epoch"
    parts = _axes(quantity, unit, at, (min(xs), max(xs)), (low, high), logarithmic)
    for index, seeds in enumerate(series):
        parts.append(_group(seeds, at, f"c{index}" if len(found) <= COLOURS else "many"))
    title = html.escape(_description(quantity, found, series))
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f"<title>{title}</title>{''.join(parts)}</svg>"
    )


def _points(rows: Sequence[Mapping], quantity: str) -> dict[float, float]:
    """Return epoch -> value of the rows that have a finite one."""
    return {
        row["epoch"]: row[quantity]
        for row in rows
        if isinstance(row.get(quantity), int | float) and math.isfinite(row[quantity])
    }


def _description(quantity: str, found: Sequence[Group], series) -> str:
    ends = []
    for group, seeds in zip(found, series):
        last = [seed[max(seed)] for seed in seeds if seed]
        if last:
            spread = f"{min(last):.3g} to {max(last):.3g}" if len(last) > 1 else f"{last[0]:.3g}"
            ends.append(f"{group.label or 'the run'} ends at {spread}")
    more = f" and {len(ends) - 6} more" if len(ends) > 6 else ""
    return f"{quantity} by epoch: {'; '.join(ends[:6])}{more}"


def _group(seeds: Sequence[Mapping], at, colour: str) -> str:
    """Return the mean over seeds and their range as far as all go; then each by itself."""
    seeds = [seed for seed in seeds if seed]
    if not seeds:
        return ""
    if len(seeds) == 1:
        return _line(list(seeds[0].items()), at, f"line {colour}")
    shared = sorted(set.intersection(*map(set, seeds)))
    columns = _thinned([(x, [seed[x] for seed in seeds]) for x in shared])
    upper = [(x, max(ys)) for x, ys in columns]
    lower = [(x, min(ys)) for x, ys in reversed(columns)]
    parts = []
    if len(columns) > 1:
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in upper + lower))
        parts.append(f'<polygon class="band {colour}" points="{outline}"/>')
        mean = [(x, sum(ys) / len(ys)) for x, ys in columns]
        parts.append(_line(mean, at, f"line {colour}"))
    end = shared[-1] if len(columns) > 1 else -math.inf
    for seed in seeds:
        rest = [(x, y) for x, y in seed.items() if x >= end]
        if len(rest) > 1 or len(columns) < 2:
            parts.append(_line(rest, at, f"line thin {colour}"))
    return "".join(parts)


def _line(points: Sequence[tuple[float, float]], at, classes: str) -> str:
    if len(points) == 1:
        x, y = at(*points[0])
        return f'<circle class="{classes} dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in _thinned(points)))
    return f'<polyline class="{classes}" points="{path}"/>'


def _thinned(points: Sequence) -> list:
    """Return at most about POINTS of the points, the last among them."""
    step = max(1, len(points) // POINTS)
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _axes(quantity: str, unit: str, at, xs, ys, logarithmic: bool) -> list[str]:
    parts = [f'<text class="name" x="4" y="14">{html.escape(quantity)}</text>']
    back = (lambda y: 10.0**y) if logarithmic else float
    for y in _ticks(*ys, whole=logarithmic):
        _, down = at(xs[0], back(y))
        text = _power(y) if logarithmic else f"{y:g}"
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>'
            f'<text class="tick y" x="{LEFT - 6}" y="{down + 3.5:.1f}">{text}</text>'
        )
    for x in _ticks(*xs, whole=True):
        right, _ = at(x, back(ys[0]))
        side = "y" if right > WIDTH - 2 * RIGHT else "x"  # the last one would stick out
        parts.append(f'<text class="tick {side}" x="{right:.1f}" y="{HEIGHT - 15}">{x:g}</text>')
    parts.append(f'<text class="tick unit" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}">{unit}</text>')
    return parts


def _power(exponent: float) -> str:
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else f"1e{exponent:g}"


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return about four round numbers from low to high."""
    rough = (high - low) / 4 or 1
    scale = 10 ** math.floor(math.log10(rough))
    step = next(m * scale for m in (1, 2, 2.5, 5, 10) if m * scale >= rough * 0.999)
    step = max(1, round(step)) if whole else step
    first = math.ceil(low / step)
    ticks = [round(k * step, 12) for k in range(first, math.floor(high / step) + 1)]
    return ticks
