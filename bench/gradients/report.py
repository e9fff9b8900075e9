"""Measurements as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..rounds import TURNS, ratios_to_best, ratios_to_each, speeds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..rounds import Round
    from ..tasks import Task


def report(played: Sequence[Round[Task]]) -> str:
    """Return all tables of a run as text.

    Parameters
    ----------
    played : sequence of Round
        One for each number of threads.

    Returns
    -------
    str
        Speeds by kind, ours beside the faster of torch's two, plans beside prepared peers, and each beside each.
    """
    return "\n\n".join(f"{title}\n\n{text}" for title, text in _tables(played))


def _tables(played: Sequence[Round[Task]]) -> Iterator[tuple[str, str]]:
    for r in played:
        after = f", threads: {r.threads}"
        for kind, tasks in r.kinds().items():
            for turn, speed in TURNS:
                yield f"GFLOP/s of {kind} by the {turn} call{after}", speeds(r, tasks, speed)
        shots, plans = (r.among(one_shot=one_shot) for one_shot in (True, False))
        title = f"Ours as a multiple of the faster of torch's two{after}; geometric mean (worst layer)"
        yield title, ratios_to_best(shots, shots.contested())
        if plans.contested():
            title = f"Plans as a multiple of the best peer with prepared weights{after}; geometric mean (worst layer)"
            yield title, ratios_to_best(plans, plans.contested())
        title = f"Ours as a multiple of each that is given the same{after}; geometric mean (worst layer)"
        yield title, ratios_to_each(r, r.kinds())
