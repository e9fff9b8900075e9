"""Measurements as tables."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, get_args

from ..contestants import Layout, Role
from ..rounds import TURNS, percent, ratios_to_best, ratios_to_each, speeds, summary
from ..tables import NOTHING, geometric_mean, table
from .contestant import Convolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..rounds import Round
    from .layers import Layer

_HEAVY_FLOPS, _HEAVY_FLOPS_A_BYTE = 50e6, 10
"""From here on a layer has work for more threads than one."""


def report(played: Sequence[Round[Layer]]) -> str:
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


def _tables(played: Sequence[Round[Layer]]) -> Iterator[tuple[str, str]]:
    for r in played:
        after = f", threads: {r.threads}"
        groups = {**r.kinds(), "all": list(r.cells)}
        for turn, speed in TURNS:
            yield f"GFLOP/s by the {turn} call{after}", speeds(r, groups["all"], speed)
        peak = f"; peak {r.peak:.1f} GFLOP/s" if r.peak else ""
        yield f"Ours beside the best direct peer{after}; best calls{peak}", _beside_best(r)
        title = f"Ours as a multiple of the best direct peer{after}; geometric mean (worst layer)"
        yield title, ratios_to_best(r, groups)
        title = f"Ours as a multiple of the best direct peer of its layout{after}; geometric mean (worst layer)"
        yield title, _within_layouts(r, groups)
        title = f"Ours, of any algorithm, as a multiple of the best of all peers{after}; geometric mean (worst layer)"
        yield title, ratios_to_best(_of_any_algorithm(r), groups)
        direct = [c for c in r.contestants if c.role is Role.OURS or c.is_compared]
        shots = replace(r, contestants=direct).among(one_shot=True)
        if {Role.OURS, Role.PEER} <= {c.role for c in shots.contestants}:
            title = f"Ours as a multiple of each, weights with every call{after}; geometric mean (worst layer)"
            yield title, ratios_to_each(shots, groups)
    first, *more = played
    for r in more:
        title = f"Speed with {r.threads} threads as a multiple of that with {first.threads}"
        yield f"{title}; layers over 50 MFLOP and 10 FLOP a byte, best calls", _gains(first, r)


def _beside_best(r: Round[Layer]) -> str:
    """Return a table of each layer: its best peer, each plan of ours, and what share of the peak that is."""
    speed = attrgetter("best_speed")
    rows = []
    for layer, turns in r.cells.items():
        best = r.best_peer(layer, speed)
        name, peer_speed = (best.contestant, f"{speed(best):.1f}") if best else (NOTHING, NOTHING)
        row = [layer.name, layer.kind, name, peer_speed]
        for plan in r.ours:
            ratio = f"{speed(turns[plan]) / speed(best):.2f}" if best else NOTHING
            row += [f"{speed(turns[plan]):.1f}", ratio, percent(speed(turns[plan]), r.peak)]
        rows.append(row)
    header = ["layer", "class", "best peer", "GFLOP/s"]
    for plan in r.ours:
        header += [plan, "× best", "% of peak"]
    return table(header, rows)


def _of_any_algorithm(r: Round[Layer]) -> Round[Layer]:
    """Return the same cells, for tables in which those are compared that may multiply less often, and all peers."""
    entered = [c for c in r.contestants if isinstance(c, Convolver)]
    of = [replace(c, is_direct=c.role is not Role.OURS or not c.is_direct) for c in entered]
    return replace(r, contestants=of)


def _within_layouts(r: Round[Layer], groups: Mapping[str, Sequence[Layer]]) -> str:
    """Return a table of each class, by best calls: each plan of ours beside the peers that are given the same image."""
    speed = attrgetter("best_speed")
    columns = {}
    for layout in get_args(Layout):
        of = r.of_layout(layout)
        for plan in of.ours:
            columns[plan] = {
                layer: speed(turns[plan]) / speed(best)
                for layer, turns in of.cells.items()
                if (best := of.best_peer(layer, speed))
            }
    rows = []
    for kind, layers in groups.items():
        each = ([ratios[layer] for layer in layers if layer in ratios] for ratios in columns.values())
        rows.append([kind, str(len(layers)), *map(summary, each)])
    return table(["class", "layers", *columns], rows)


def _gains(before: Round[Layer], after: Round[Layer]) -> str:
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
