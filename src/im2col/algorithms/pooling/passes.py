"""How the taps of an axis are joined: at once, or in windows that are joined then."""

from __future__ import annotations

import math

Term = tuple[int, int]
"""Which rows a pass reads, those that were given (0) or those of the first pass (1), and how many taps behind."""
Passes = tuple[tuple[Term, ...], ...]

_AT_ONCE = 6
"""Taps up to which a second pass saves nothing, as it stores what the first one has made and loads it again."""


def passes(taps: int, *, twice: bool) -> Passes:
    """Return how the taps of an axis are joined: at once, or in windows of about their root that are joined then.

    Parameters
    ----------
    taps : int
    twice : bool
        Whether a tap may be joined twice, which changes no maximum.

    Returns
    -------
    tuple of tuple of Term
        One pass or two: what is joined, in order.

    Examples
    --------
    >>> passes(3, twice=True)
    (((0, 0), (0, 1), (0, 2)),)
    >>> passes(7, twice=True)[1], passes(7, twice=False)[1]
    (((1, 0), (1, 2), (1, 4), (1, 5)), ((1, 0), (1, 2), (1, 4), (0, 6)))
    """
    if taps <= _AT_ONCE:
        return (tuple((0, t) for t in range(taps)),)
    ways = []
    for width in range(2, 2 * math.isqrt(taps) + 1):
        whole, rest = divmod(taps, width)
        last = [(1, i * width) for i in range(whole)]
        if rest:
            last += [(1, taps - width)] if twice else [(0, whole * width + i) for i in range(rest)]
        ways.append((tuple((0, t) for t in range(width)), tuple(last)))
    return min(ways, key=lambda way: len(way[0]) + len(way[1]))
