"""Measurements of contestants with processes of their own: as rounds, as tables, and as a CSV file."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic

from .clock import told
from .contestants import Role, WorkT
from .tables import NOTHING, geometric_mean, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from .contestants import Layout, SeatedContestant
    from .match import Measurement

TURNS: tuple[tuple[str, Callable[[Measurement[Any]], float]], ...] = (
    ("best", attrgetter("best_speed")),
    ("median", attrgetter("median_speed")),
)
"""Which call of a cell a table is about, and its speed."""


@dataclass(frozen=True)
class Round(Generic[WorkT]):
    """The cells of one number of threads, by work and by contestant's name."""

    threads: int
    cells: dict[WorkT, dict[str, Measurement[WorkT]]]
    contestants: Sequence[SeatedContestant[WorkT, Any]]

    @property
    def peak(self) -> float | None:
        """GFLOP/s of the limit at its best; None where it took no part."""
        limits = self._names(lambda c: c.role is Role.LIMIT)
        speeds = [turns[name].best_speed for turns in self.cells.values() for name in limits if name in turns]
        return max(speeds, default=None)

    @property
    def ours(self) -> list[str]:
        """Ours that are set beside the best peer."""
        return self._names(lambda c: c.role is Role.OURS and c.is_compared)

    @property
    def _rivals(self) -> list[str]:
        return self._names(lambda c: c.role is Role.PEER and c.is_compared)

    def best_peer(self, work: WorkT, speed: Callable[[Measurement[WorkT]], float]) -> Measurement[WorkT] | None:
        """Return the fastest cell of some work, among the peers that may be the best; None where there is none."""
        peers = self._rivals
        return max((m for name, m in self.cells[work].items() if name in peers), key=speed, default=None)

    def kinds(self) -> dict[str, list[WorkT]]:
        """Return the works by class."""
        kinds = defaultdict(list)
        for work in self.cells:
            kinds[work.kind].append(work)
        return dict(kinds)

    def contested(self) -> dict[str, list[WorkT]]:
        """Return the works by class, those classes in which ours meet peers that may be the best."""
        ours, peers = set(self.ours), set(self._rivals)
        return {
            kind: works
            for kind, works in self.kinds().items()
            if any(ours & self.cells[work].keys() and peers & self.cells[work].keys() for work in works)
        }

    def among(self, *, one_shot: bool) -> Round[WorkT]:
        """Return the same cells, for tables of those that take the weights with every call, or of those that do not."""
        return replace(self, contestants=[c for c in self.contestants if c.is_one_shot is one_shot])

    def of_layout(self, layout: Layout) -> Round[WorkT]:
        """Return the same cells, for tables of those that are given images of one layout, and of the limit."""
        of = [c for c in self.contestants if c.layout == layout or c.role is Role.LIMIT]
        return replace(self, contestants=of)

    def present(self, works: Iterable[WorkT]) -> list[SeatedContestant[WorkT, Any]]:
        """Return the contestants that offer one of the works."""
        offered = {name for work in works for name in self.cells[work]}
        return [c for c in self.contestants if c.name in offered]

    def _names(self, condition: Callable[[SeatedContestant[WorkT, Any]], bool]) -> list[str]:
        return [c.name for c in self.contestants if condition(c)]


def rounds(
    measurements: Iterable[Measurement[WorkT]], contestants: Sequence[SeatedContestant[WorkT, Any]]
) -> list[Round[WorkT]]:
    """Return measurements by number of threads."""
    found: dict[int, Round[WorkT]] = {}
    for m in measurements:
        cells = found.setdefault(m.threads, Round(m.threads, {}, contestants)).cells
        cells.setdefault(m.work, {})[m.contestant] = m
    return list(found.values())


def write_csv(path: Path, played: Sequence[Round[WorkT]]) -> None:
    """Write one line a cell; the file's folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "threads,layer,class,contestant,version,layout,compared,one_shot,mflop,calls,best_seconds,median_seconds"
    header += ",best_gflop_per_second,median_gflop_per_second,best_percent_of_peak"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        for r in played:
            entered = {c.name: c for c in r.contestants}
            for m in (m for turns in r.cells.values() for m in turns.values()):
                c = entered[m.contestant]
                what = [r.threads, m.work.name, m.work.kind, c.name, c.version, c.layout, c.is_compared, c.is_one_shot]
                speeds = [f"{m.best_speed:.3f}", f"{m.median_speed:.3f}", percent(m.best_speed, r.peak)]
                writer.writerow([*what, m.work.flops / 1e6, len(m.seconds), *told(m.seconds), *speeds])


def speeds(r: Round[WorkT], works: Sequence[WorkT], speed: Callable[[Measurement[WorkT]], float]) -> str:
    """Return a table of the speed of each contestant at each of some works."""
    present = [c.name for c in r.present(works)]
    rows = [
        [work.name, *(f"{speed(turns[name]):.1f}" if name in turns else NOTHING for name in present)]
        for work in works
        for turns in (r.cells[work],)
    ]
    return table(["layer", *present], rows)


def ratios_to_best(r: Round[WorkT], groups: Mapping[str, Sequence[WorkT]], unit: str = "GFLOP/s") -> str:
    """Return a table of each group: each of ours as a multiple of the best peer, and the better one at each work.

    Parameters
    ----------
    r : Round
    groups : mapping of str to sequence of Work
    unit : str
        Of speeds.

    Returns
    -------
    str
        Geometric mean and worst work, by fastest and by median calls.
    """
    rows = []
    for kind, works in groups.items():
        for turn, speed in TURNS:
            bests = {work: peer for work in works if (peer := r.best_peer(work, speed))}
            ratios = [
                {name: speed(r.cells[work][name]) / speed(best) for name in r.ours if name in r.cells[work]}
                for work, best in bests.items()
            ]
            each = [summary([several[name] for several in ratios if name in several]) for name in r.ours]
            better = summary([max(several.values()) for several in ratios if several])
            mean = f"{geometric_mean([speed(m) for m in bests.values()]):.1f}" if bests else NOTHING
            rows.append([kind, str(len(works)), turn, mean, *each, better])
    return table(["class", "layers", "calls", f"best peer, {unit}", *r.ours, "the better"], rows)


def ratios_to_each(r: Round[WorkT], groups: Mapping[str, Sequence[WorkT]]) -> str:
    """Return a table of each group: each of ours as a multiple of each peer that is given the same.

    That is images of the same layout, and weights with every call or beforehand; see `ratios_to_best`.
    """
    names = [
        (ours.name, peer.name)
        for ours in r.contestants
        for peer in r.contestants
        if ours.role is Role.OURS and peer.role is Role.PEER
        if (ours.layout, ours.is_one_shot) == (peer.layout, peer.is_one_shot)
    ]
    rows = []
    for kind, works in groups.items():
        for turn, speed in TURNS:
            row = [kind, turn]
            for ours, peer in names:
                cells = [r.cells[work] for work in works if {ours, peer} <= r.cells[work].keys()]
                row.append(summary([speed(turns[ours]) / speed(turns[peer]) for turns in cells]))
            rows.append(row)
    return table(["class", "calls", *(f"{ours} / {peer}" for ours, peer in names)], rows)


def summary(ratios: Sequence[float]) -> str:
    """Return the geometric mean, and the worst in parentheses."""
    return f"{geometric_mean(ratios):.2f} ({min(ratios):.2f})" if ratios else NOTHING


def percent(speed: float, peak: float | None) -> str:
    """Return what share of the peak a speed is."""
    return f"{100 * speed / peak:.0f}" if peak else NOTHING
