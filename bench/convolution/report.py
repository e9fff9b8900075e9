"""Measurements as tables, and as a CSV file."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from ..contestants import Role
from ..tables import NOTHING, geometric_mean, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from .contestant import Convolver
    from .layers import Layer
    from .measure import Measurement

_TURNS: tuple[tuple[str, Callable[[Measurement], float]], ...] = (
    ("best", attrgetter("best_speed")),
    ("median", attrgetter("median_speed")),
)
_HEAVY_FLOPS, _HEAVY_FLOPS_A_BYTE = 50e6, 10
"""From here on a layer has work for more threads than one."""


@dataclass(frozen=True)
class Round:
    """The cells of one number of threads, by layer and by contestant's name."""

    threads: int
    cells: dict[Layer, dict[str, Measurement]]
    contestants: Sequence[Convolver]

    @property
    def peak(self) -> float | None:
        """GFLOP/s of the limit at its best; None where it took no part."""
        limits = self._names(lambda c: c.role is Role.LIMIT)
        speeds = [turns[name].best_speed for turns in self.cells.values() for name in limits if name in turns]
        return max(speeds, default=None)

    @property
    def plans(self) -> list[str]:
        """Ours with prepared weights."""
        return self._names(lambda c: c.role is Role.OURS and not c.is_one_shot)

    def best_peer(self, layer: Layer, speed: Callable[[Measurement], float]) -> Measurement | None:
        """Return the fastest peer's cell of a layer, among those that multiply directly; None where there is none."""
        peers = self._names(lambda c: c.role is Role.PEER and c.is_direct)
        return max((m for name, m in self.cells[layer].items() if name in peers), key=speed, default=None)

    def one_shots(self) -> Iterator[tuple[str, str]]:
        """Yield each pair of names that takes weights with every call and has one layout: ours, then a peer."""
        shots = [c for c in self.contestants if c.is_one_shot and c.is_direct]
        for ours in shots:
            for peer in shots:
                if ours.role is Role.OURS and peer.role is Role.PEER and ours.layout == peer.layout:
                    yield ours.name, peer.name

    def kinds(self) -> dict[str, list[Layer]]:
        """Return the layers by class, then all of them."""
        kinds = defaultdict(list)
        for layer in self.cells:
            kinds[layer.kind].append(layer)
        return {**kinds, "all": list(self.cells)}

    def _names(self, condition: Callable[[Convolver], bool]) -> list[str]:
        return [c.name for c in self.contestants if condition(c)]


def rounds(measurements: Iterable[Measurement], contestants: Sequence[Convolver]) -> list[Round]:
    """Return measurements by number of threads."""
    found: dict[int, Round] = {}
    for m in measurements:
        cells = found.setdefault(m.threads, Round(m.threads, {}, contestants)).cells
        cells.setdefault(m.layer, {})[m.contestant] = m
    return list(found.values())


def write_csv(path: Path, played: Sequence[Round]) -> None:
    """Write one line a cell; the file's folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "threads,layer,class,contestant,version,layout,direct,one_shot,mflop,calls,best_seconds,median_seconds"
    header += ",best_gflop_per_second,median_gflop_per_second,best_percent_of_peak"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        for r in played:
            entered = {c.name: c for c in r.contestants}
            for m in (m for turns in r.cells.values() for m in turns.values()):
                c = entered[m.contestant]
                what = [r.threads, m.layer.name, m.layer.kind, c.name, c.version, c.layout, c.is_direct, c.is_one_shot]
                seconds = [f"{m.best:.9f}", f"{m.median:.9f}"]
                speeds = [f"{m.best_speed:.3f}", f"{m.median_speed:.3f}", _percent(m.best_speed, r.peak)]
                writer.writerow([*what, m.layer.flops / 1e6, len(m.seconds), *seconds, *speeds])


def report(played: Sequence[Round]) -> str:
    """Return all tables of a run as text.

    Parameters
    ----------
    played : sequence of Round
        One for each number of threads.

    Returns
    -------
    str
        Speeds, ours beside the best direct peer by layer and by class, one-shot calls, and how threads help.
    """
    return "\n\n".join(f"{title}\n\n{text}" for title, text in _tables(played))


def _tables(played: Sequence[Round]) -> Iterator[tuple[str, str]]:
    for r in played:
        after = f", threads: {r.threads}"
        for turn, speed in _TURNS:
            yield f"GFLOP/s by the {turn} call{after}", _speeds(r, speed)
        peak = f"; peak {r.peak:.1f} GFLOP/s" if r.peak else ""
        yield f"Ours beside the best direct peer{after}; best calls{peak}", _beside_best(r)
        title = f"Ours as a multiple of the best direct peer{after}; geometric mean (worst layer)"
        yield title, _ratios(r)
        if any(r.one_shots()):
            title = f"Ours as a multiple of each, weights with every call{after}; geometric mean (worst layer)"
            yield title, _one_shot_ratios(r)
    first, *more = played
    for r in more:
        title = f"Speed with {r.threads} threads as a multiple of that with {first.threads}"
        yield f"{title}; layers over 50 MFLOP and 10 FLOP a byte, best calls", _gains(first, r)


def _speeds(r: Round, speed: Callable[[Measurement], float]) -> str:
    present = [c.name for c in r.contestants if any(c.name in turns for turns in r.cells.values())]
    rows = [
        [layer.name, *(f"{speed(turns[name]):.1f}" if name in turns else NOTHING for name in present)]
        for layer, turns in r.cells.items()
    ]
    return table(["layer", *present], rows)


def _beside_best(r: Round) -> str:
    """Return a table of each layer: its best peer, each plan of ours, and what share of the peak that is."""
    speed = attrgetter("best_speed")
    rows = []
    for layer, turns in r.cells.items():
        best = r.best_peer(layer, speed)
        name, peer_speed = (best.contestant, f"{speed(best):.1f}") if best else (NOTHING, NOTHING)
        row = [layer.name, layer.kind, name, peer_speed]
        for plan in r.plans:
            ratio = f"{speed(turns[plan]) / speed(best):.2f}" if best else NOTHING
            row += [f"{speed(turns[plan]):.1f}", ratio, _percent(speed(turns[plan]), r.peak)]
        rows.append(row)
    header = ["layer", "class", "best peer", "GFLOP/s"]
    for plan in r.plans:
        header += [plan, "× best", "% of peak"]
    return table(header, rows)


def _ratios(r: Round) -> str:
    """Return a table of each class, by fastest and by median calls: each plan, and the better one of each layer."""
    rows = []
    for kind, layers in r.kinds().items():
        for turn, speed in _TURNS:
            bests = {layer: peer for layer in layers if (peer := r.best_peer(layer, speed))}
            ratios: dict[str, list[float]] = {
                plan: [speed(r.cells[layer][plan]) / speed(best) for layer, best in bests.items()] for plan in r.plans
            }
            better = [max(several) for several in zip(*ratios.values(), strict=True)]
            mean = f"{geometric_mean([speed(m) for m in bests.values()]):.1f}" if bests else NOTHING
            rows.append([kind, str(len(layers)), turn, mean, *map(_summary, ratios.values()), _summary(better)])
    return table(["class", "layers", "calls", "best peer, GFLOP/s", *r.plans, "the better"], rows)


def _one_shot_ratios(r: Round) -> str:
    pairs = list(r.one_shots())
    rows = []
    for kind, layers in r.kinds().items():
        for turn, speed in _TURNS:
            row = [kind, turn]
            for ours, peer in pairs:
                cells = [r.cells[layer] for layer in layers if peer in r.cells[layer]]
                row.append(_summary([speed(turns[ours]) / speed(turns[peer]) for turns in cells]))
            rows.append(row)
    return table(["class", "calls", *(f"{ours} / {peer}" for ours, peer in pairs)], rows)


def _gains(before: Round, after: Round) -> str:
    rows = []
    for contestant in before.contestants:
        gains = {
            layer.name: turns[contestant.name].best / after.cells[layer][contestant.name].best
            for layer, turns in before.cells.items()
            if contestant.name in turns and layer.flops > _HEAVY_FLOPS and layer.flops_a_byte > _HEAVY_FLOPS_A_BYTE
        }
        if gains:
            worst = min(gains, key=gains.__getitem__)
            mean = f"{geometric_mean(list(gains.values())):.2f}"
            rows.append([contestant.name, str(len(gains)), mean, f"{gains[worst]:.2f}", worst])
    return table(["contestant", "layers", "geometric mean", "worst", "of"], rows)


def _summary(ratios: Sequence[float]) -> str:
    return f"{geometric_mean(ratios):.2f} ({min(ratios):.2f})" if ratios else NOTHING


def _percent(speed: float, peak: float | None) -> str:
    return f"{100 * speed / peak:.0f}" if peak else NOTHING
