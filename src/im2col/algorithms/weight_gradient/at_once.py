"""A gradient, and the copies around it, as one call from Python."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...engine import gather, scratch
from ...engine.compiler import EngineError
from ...engine.copies import Copies
from ...engine.sequence import Round, Steps
from ..implicit.shares import one_task
from ..implicit.work import BIAS, GIVEN_BIAS, GIVEN_WEIGHTS, OUT, WEIGHTS, X

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..implicit.work import Calls

    Array = NDArray[Any]

_GRAD, _RESULT, _GIVEN_GRAD, _GIVEN_X, _SUMS = WEIGHTS, BIAS, GIVEN_WEIGHTS, GIVEN_BIAS, OUT
"""What a layer's calls name for what a gradient's are about, which have no bias; the image is called alike."""


class GradientAtOnce:
    """Calls behind the copies of image and gradient: ``run(out, x, grad)``; see `contract.AtOnce`.

    Parameters
    ----------
    steps : Steps
    room, panel, sums : ndarray or None
        Like those that the image and the gradient are copied to, and that the result is copied from.
    cleared : bool
        Whether there is more room than is copied, which stands as zeros.
    any_threads : bool
    """

    def __init__(
        self,
        steps: Steps,
        room: Array | None,
        panel: Array | None,
        sums: Array | None,
        cleared: bool,
        any_threads: bool,
    ) -> None:
        self._run, self._steps, self._cleared = steps.run_ids, steps, cleared
        self._room, self._panel, self._sums = (
            None if each is None else (each.size, each.dtype) for each in (room, panel, sums)
        )
        self.any_threads = any_threads

    def __call__(self, out: Array, x: Array, grad: Array, _: None = None) -> None:
        """Overwrite `out`."""
        room = x if self._room is None else scratch.empty(*self._room)
        panel = grad if self._panel is None else scratch.empty(*self._panel)
        if self._cleared:
            room.fill(0)
        sums = out if self._sums is None else scratch.empty(*self._sums)
        self._run(id(panel), id(out), id(grad), id(x), id(room), id(sums))


def at_once(
    calls: Calls,
    flops: int,
    x: Array,
    grad: Array,
    room: tuple[Array, Array] | None,
    panel: tuple[Array, Iterable[tuple[Array, Array]]] | None,
    result: tuple[Array, Array, Array] | None,
) -> GradientAtOnce | None:
    """Return how a gradient is run in one call, or None where it is not.

    Parameters
    ----------
    calls : Calls
        Of the whole batch.
    flops : int
    x, grad : ndarray
        Like those that will be given.
    room : (ndarray, ndarray), optional
        What the image is copied to, and the part of that which it fills.
    panel : (ndarray, iterable of (ndarray, ndarray)), optional
        What the gradient is copied to: parts of it, and of the gradient.
    result : (ndarray, ndarray, ndarray), optional
        What stands in the place of the result, a view of it in the result's order, and the result.
    """
    if len(calls.tasks) > 1:
        return None
    copies, last, made, nbytes = Copies(), Copies(), True, 0
    if room is not None:
        nbytes = room[0].nbytes
        made = copies.add((X, *room), (_GIVEN_X, x, x))
    if panel is not None:
        nbytes = max(nbytes, panel[0].nbytes)
        for to, source in panel[1]:
            made = made and copies.add((_GRAD, panel[0], to), (_GIVEN_GRAD, grad, source))
    if result is not None:
        sums, source, out = result
        nbytes = max(nbytes, sums.nbytes)
        made = made and last.add((_RESULT, out, out), (_SUMS, sums, source))
    if not made or gather.worthy_threads(nbytes, calls.threads) > 1:
        return None
    with suppress(EngineError):
        computed, keep = calls.behind(Round(copies.steps))
        steps = Steps([*computed, Round(last.steps)], calls.target, (keep, copies, last))
        any_threads = one_task(flops) and gather.worthy_threads(nbytes, 2) == 1
        cleared = room is not None and room[0].size > room[1].size
        return GradientAtOnce(steps, room and room[0], panel and panel[0], result and result[0], cleared, any_threads)
    return None
