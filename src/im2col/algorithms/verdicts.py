"""What was measured of a problem on this machine, kept for later plans: which algorithm is fastest, and how set.

A verdict is a file of its own in the cache folder, written whole or not at all, so that processes may write at the same
time: whoever is last is right. One that cannot be read, or names what there no longer is, is as good as none.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

from ..engine import compiler
from ..importing import importing
from ..memory import NOTHING, keep, recall
from ..version import __version__

if TYPE_CHECKING:
    from ..spec.problem import Problem

_FORMAT = 1
"""Of what a file holds."""


class Measured(NamedTuple):
    """An offer, and how long it took.

    Parameters
    ----------
    algorithm, way : str
        See `Offer`.
    cycles : float
        Of an image, by the model.
    seconds : float
        Of the fastest call.
    """

    algorithm: str
    way: str
    cycles: float
    seconds: float

    def __str__(self) -> str:
        known = math.isfinite(self.cycles)
        predicted = f"{self.cycles:.3g} cycles an image by the model" if known else "not weighed by the model"
        way = f", {self.way}" if self.way else ""
        return f"{self.seconds * 1e3:.3g} ms, {predicted}: {self.algorithm}{way}"


Verdict = tuple[Measured, ...]
"""All that was measured, the one that is taken first."""


def verdict(problem: Problem, requested: str, threads: int) -> Verdict | None:
    """Return what was measured of a problem on this CPU, by this process or another one.

    Parameters
    ----------
    problem : Problem
    requested : str
        The algorithm's name, or ``"auto"``.
    threads : int
    """
    name = _name(problem, requested, threads)
    found = recall(name)
    return keep(name, _read(name)) if found is NOTHING else found


def keep_verdict(problem: Problem, requested: str, threads: int, found: Verdict) -> None:
    """Keep what was measured, for this process and, where the cache folder can be used, for others."""
    with importing:
        from ..engine import cache

    name = _name(problem, requested, threads)
    keep(name, found)
    cache.write(name, json.dumps(found).encode(), cache.VERDICT)


def _read(name: str) -> Verdict | None:
    with importing:
        from ..engine import cache

    data = cache.read(name, cache.VERDICT)
    return None if data is None else tuple(Measured(*each) for each in json.loads(data))


def _name(problem: Problem, requested: str, threads: int) -> str:
    """Return a name that no other problem has, nor the same one on another CPU or in another version."""
    with importing:
        import hashlib  # takes longer to import than small programs need it

    material = repr((_FORMAT, __version__, compiler.usable_target(), problem, requested, threads))
    return hashlib.sha256(material.encode()).hexdigest()
