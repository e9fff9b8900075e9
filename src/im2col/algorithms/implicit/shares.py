"""How a layer is cut into tasks, and from how much work on threads pay."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ...spec.problem import Problem
    from .tables import Tables, TileRun

_WORTH_A_THREAD = 8e5
"""Operations from which a piece of work is worth giving to a thread that is awake."""
_WORTH_A_TASK = 2e6
"""Operations from which a thread's share is cut into tasks, so that others may take what it has not begun."""
_WORTH_SEVERAL = 1.6e7
"""Operations from which weights are worth packing for several tasks: for a single one it is the same call."""
WORTH_WAKING = 4e7
"""Operations from which a layer is worth waking threads that sleep."""
_A_RESULT = 32
"""Operations as long as which a result takes beside its products."""
_TASKS_A_THREAD = 3
_MANY = 32
"""Units of work for a thread of which one more or less makes no difference."""


class Ranges(NamedTuple):
    """What a task covers: images, groups and blocks of filters by their numbers, rows by their share."""

    images: tuple[int, int]
    groups: tuple[int, int]
    blocks: tuple[int, int]
    rows: tuple[int, int]
    pieces: int

    def rows_of(self, run: TileRun) -> tuple[int, int]:
        """Return those of a run's table."""
        first, stop = (run.rows * edge // self.pieces for edge in self.rows)
        return first, stop


def effort(problem: Problem) -> int:
    """Return as how many operations a layer counts where threads are concerned: results take their time, too."""
    return problem.flops + _A_RESULT * problem.batch * problem.filters * problem.geometry.positions


def one_task(flops: int) -> bool:
    """Return whether a call of so few operations, which packs its weights, is one task for any number of threads."""
    return flops < _WORTH_SEVERAL


def tasks_of(tables: Tables, batch: int, threads: int, flops: int) -> list[Ranges]:
    """Return what each of a layer's tasks covers."""
    if threads == 1:
        return cut(tables, batch, 1, threads)
    shares = min(threads, int(flops / _WORTH_A_THREAD))
    tasks = min(threads * _TASKS_A_THREAD, int(flops / _WORTH_A_TASK))
    return cut(tables, batch, max(1, shares, tasks), threads)


def bands_of(tables: Tables, batch: int, count: int) -> list[Ranges]:
    """Cut a layer into so many bands of rows, each with all filters."""
    whole = Ranges((0, batch), (0, tables.groups), (0, sum(each.blocks for each in tables.blocks)), (0, 1), count)
    return [whole._replace(rows=(i, i + 1)) for i in range(count)]


def cut(tables: Tables, batch: int, wanted: int, threads: int) -> list[Ranges]:
    """Cut a layer into about as many tasks as wanted, as much work for each thread. No sum depends on it.

    One axis is cut into as many units for each thread; those that are left over are cut along another one. The tasks of
    a thread are neighbours and stand together, the small one last: see `Together`.
    """
    blocks = sum(each.blocks for each in tables.blocks)
    rows = max(run.rows for run in tables.runs)
    lengths = {"images": batch, "groups": tables.groups, "rows": rows, "blocks": blocks}
    if tables.weights_outweigh:
        lengths = {"images": batch, "groups": tables.groups, "blocks": blocks, "rows": rows}
    axis = next((name for name, n in lengths.items() if n >= wanted), max(lengths, key=lambda name: lengths[name]))
    whole = Ranges((0, batch), (0, tables.groups), (0, blocks), (0, rows), rows)

    def part(ranges: Ranges, name: str, ends: tuple[int, int]) -> Ranges:
        changed: dict[str, Any] = {name: ends}
        return ranges._replace(**changed)

    n, other = lengths[axis], max((name for name in lengths if name != axis), key=lambda name: lengths[name])
    busy = min(threads, wanted, n)
    left = n % busy if n < _MANY * busy and lengths[other] > 1 else 0
    pieces = min(n // busy, wanted // busy)
    shares: list[list[Ranges]] = [[] for _ in range(busy)]
    for i, ends in enumerate(pairwise(_cuts(n - left, busy * pieces))):
        shares[i // pieces].append(part(whole, axis, ends))
    if left:
        rest = part(whole, axis, (n - left, n))
        for tasks, ends in zip(shares, pairwise(_cuts(lengths[other], min(busy, lengths[other]))), strict=False):
            tasks.append(part(rest, other, ends))
    return [task for tasks in shares for task in tasks]


def _cuts(n: int, parts: int) -> list[int]:
    """Return where so many units are cut; the first parts are longer, as the last ones get ragged tiles, too."""
    return [-(-n * i // parts) for i in range(parts + 1)]
