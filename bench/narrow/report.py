"""Measurements as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contestants import Role
from ..rounds import TURNS, ratios_to_best, ratios_to_each, speeds, summary
from ..tables import NOTHING, geometric_mean, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..contestants import SeatedContestant
    from ..rounds import Round
    from ..tasks import Task
    from .problems import Problem

_WIDE = "float32"


def report(played: Sequence[Round[Task]]) -> str:
    """Return all tables of a run as text.

    Parameters
    ----------
    played : sequence of Round
        One for each number of threads.

    Returns
    -------
    str
        Speeds by kind, ours beside the best peer of the kind, and what narrow numbers gain.
    """
    return "\n\n".join(f"{title}\n\n{text}" for title, text in _tables(played))


def _tables(played: Sequence[Round[Task]]) -> Iterator[tuple[str, str]]:
    for r in played:
        after = f", threads: {r.threads}"
        for kind, tasks in r.kinds().items():
            for turn, speed in TURNS:
                yield f"GOP/s of {kind} by the {turn} call{after}", speeds(r, tasks, speed)
        title = f"Ours as a multiple of the best peer with the same numbers{after}; geometric mean (worst layer)"
        yield title, ratios_to_best(r, r.contested(), "GOP/s")
        title = f"Ours as a multiple of each that is given the same{after}; geometric mean (worst layer)"
        yield title, ratios_to_each(r, r.contested())
        yield f"Each in all layers{after}; geometric means, best calls", _means(r)
        if _WIDE in r.kinds():
            title = f"Ours as a multiple of itself with {_WIDE}{after}; geometric mean (worst layer), best calls"
            yield title, _gains(r)


def _means(r: Round[Task]) -> str:
    """Return a table of each contestant: GOP/s of each kind that it offers."""
    kinds = r.kinds()
    rows = [[c.name, *(_mean(r, c, tasks) for tasks in kinds.values())] for c in r.present(r.cells)]
    return table(["contestant", *(f"{kind}, GOP/s" for kind in kinds)], rows)


def _mean(r: Round[Task], contestant: SeatedContestant[Task, Problem], tasks: Sequence[Task]) -> str:
    cells = [r.cells[task] for task in tasks]
    found = [turns[contestant.name].best_speed for turns in cells if contestant.name in turns]
    return f"{geometric_mean(found):.1f}" if found else NOTHING


def _gains(r: Round[Task]) -> str:
    """Return a table of each of ours: how much faster narrow numbers are than float32, layer by layer."""
    kinds = r.kinds()
    wide = {task.layer: r.cells[task] for task in kinds.pop(_WIDE)}
    rows = []
    for name in (c.name for c in r.contestants if c.role is Role.OURS):
        row = [name]
        for tasks in kinds.values():
            both = [(r.cells[task][name], wide[task.layer][name]) for task in tasks if name in r.cells[task]]
            row.append(summary([narrow.best_speed / float32.best_speed for narrow, float32 in both]))
        rows.append(row)
    return table(["contestant", *kinds], rows)
