"""Measurements as tables, and as a CSV file."""

from __future__ import annotations

import csv
from operator import attrgetter
from typing import TYPE_CHECKING

from ..clock import told
from ..contestants import Role
from ..tables import NOTHING, geometric_mean, table
from .measure import OUTS
from .problems import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ..contestants import Contestant
    from .measure import Measurement
    from .problems import Layer, Problem

    ByLayer = Mapping[Layer, Mapping[str, Measurement]]

_TITLES = {"touched": "into a touched out", "allocated": "allocation on all sides"}


def write_csv(path: Path, measurements: Sequence[Measurement]) -> None:
    """Write one line a cell, with its fastest turn and its median turn; the file's folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "threads,layer,transform,patches_as,out,contestant,matrix_bytes,turns"
    header += ",best_seconds,median_seconds,best_gb_per_second,median_gb_per_second"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        for m in measurements:
            cell = [m.threads, m.layer.name, m.task.transform, m.task.orientation, m.out, m.contestant]
            speeds = [f"{m.layer.matrix_bytes / t / 1e9:.3f}" for t in (m.best, m.median)]
            writer.writerow([*cell, m.layer.matrix_bytes, len(m.seconds), *told(m.seconds), *speeds])


def report(measurements: Sequence[Measurement], contestants: Sequence[Contestant[Problem]]) -> str:
    """Return all tables of a run as text: speeds, then ratios, then how threads help.

    Parameters
    ----------
    measurements : sequence of Measurement
    contestants : sequence of Contestant
        Those that took part, in the order of the columns; one of them is ours.

    Returns
    -------
    str
    """
    return "\n\n".join(f"{title}\n\n{text}" for title, text in _tables(measurements, contestants))


def _tables(
    measurements: Sequence[Measurement], contestants: Sequence[Contestant[Problem]]
) -> Iterator[tuple[str, str]]:
    groups: dict[object, dict[Layer, dict[str, Measurement]]] = {}
    for m in measurements:
        groups.setdefault((m.threads, m.out, m.task), {}).setdefault(m.layer, {})[m.contestant] = m
    threads = list(dict.fromkeys(m.threads for m in measurements))
    names = [c.name for c in contestants]
    ours = next(c.name for c in contestants if c.role is Role.OURS)
    peers = [name for name in names if name != ours]
    for n in threads:
        for out in OUTS:
            for task in TASKS:
                title = f"{task}, {_TITLES[out]}, threads: {n}; GB/s of matrix"
                yield title, _speeds(groups[n, out, task], names, ours)
    for n in threads:
        for out in OUTS:
            rows = [row for task in TASKS for row in _ratio_rows(str(task), groups[n, out, task], peers, ours)]
            title = f"{ours} as a multiple of each, {_TITLES[out]}, threads: {n}; geometric mean (worst layer)"
            yield title, table(["task", "turn", *peers], rows)
    first, *more = threads
    for n in more:
        before, after = ({task: groups[number, "touched", task] for task in TASKS} for number in (first, n))
        rows = [_gain_row(str(task), before[task], after[task], names) for task in TASKS]
        title = f"Speed with {n} threads as a multiple of that with {first}, {_TITLES['touched']}; geometric mean"
        yield title, table(["task", *names], rows)


def _speeds(cells: ByLayer, names: Sequence[str], ours: str) -> str:
    """Return a table of each contestant's fastest turn, and our median turn."""
    present = [name for name in names if any(name in turns for turns in cells.values())]
    rows = []
    for layer, turns in cells.items():
        size = layer.matrix_bytes
        best = [f"{size / turns[name].best / 1e9:.1f}" if name in turns else NOTHING for name in present]
        rows.append([layer.name, f"{size / 1e6:.1f}", *best, f"{size / turns[ours].median / 1e9:.1f}"])
    return table(["layer", "MB", *present, f"{ours}, median"], rows)


def _ratio_rows(task: str, cells: ByLayer, peers: Sequence[str], ours: str) -> Iterator[list[str]]:
    """Yield our speed over each peer's: one row by fastest turns, one by median turns."""
    for name, seconds in (("best", attrgetter("best")), ("median", attrgetter("median"))):
        row = [task, name]
        for peer in peers:
            ratios = [seconds(turns[peer]) / seconds(turns[ours]) for turns in cells.values() if peer in turns]
            row.append(f"{geometric_mean(ratios):.2f} ({min(ratios):.2f})" if ratios else NOTHING)
        yield row


def _gain_row(task: str, before: ByLayer, after: ByLayer, names: Sequence[str]) -> list[str]:
    """Return how much faster each contestant is with more threads."""
    row = [task]
    for name in names:
        gains = [turns[name].best / after[layer][name].best for layer, turns in before.items() if name in turns]
        row.append(f"{geometric_mean(gains):.2f}" if gains else NOTHING)
    return row
