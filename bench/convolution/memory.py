"""How much memory each contestant takes beyond image, weights and result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import memory
from ..contestants import Role
from ..processes import in_fresh_process
from ..tables import NOTHING, table
from .problems import make_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .contestant import Convolver
    from .layers import Layer
    from .problems import Problem
    from .report import Round

_FEW = 8


def memory_table(r: Round, layers: Sequence[Layer]) -> str:
    """Return a table of what each contestant takes at its peak, each measured in a process of its own.

    Parameters
    ----------
    r : Round
        Tells who offers which layer.
    layers : sequence of Layer
        Some of the round's.

    Returns
    -------
    str
        MB; beside them what packed weights, a padded image and 2 MB a thread would take.
    """
    title = f"Memory beyond image, weights and result, threads: {r.threads}; MB at the peak of a run"
    if not memory.is_told():
        return f"{title}: not measured, this system does not tell"
    present = [
        c for c in r.contestants if c.role is not Role.LIMIT and any(c.name in r.cells[layer] for layer in layers)
    ]
    rows = []
    for layer in layers:
        row = [layer.name, f"{(layer.weight_bytes + layer.padded_bytes) / 1e6 + 2 * r.threads:.1f}"]
        for contestant in present:
            if contestant.name not in r.cells[layer]:
                row.append(NOTHING)
                continue
            call = partial(_rise, contestant, layer, r.threads)
            row.append(f"{in_fresh_process(r.threads, call, environment=memory.ENVIRONMENT) / 1e6:.1f}")
        rows.append(row)
    return f"{title}\n\n{table(['layer', 'allowed', *(c.name for c in present)], rows)}"


def _rise(contestant: Convolver, layer: Layer, threads: int) -> int:
    """Return by how many bytes preparing and running a layer raises this process's resident memory at the peak.

    What preparing takes for a moment does not count, what it keeps does. A result outside `out` does not count either.
    """
    # The library is loaded and its threads are started, whatever the size of the problem.
    _call(contestant, make_problem(_miniature(layer), contestant.layout, threads))()
    problem = make_problem(layer, contestant.layout, threads)
    before = memory.resident()
    call = _call(contestant, problem)
    result = call()
    own = 0 if np.may_share_memory(result, problem.out) else result.nbytes
    del result
    memory.forget_peak()
    call()
    own += problem.image.nbytes if contestant.copies_image else 0
    return max(0, memory.peak() - before - own)


def _call(contestant: Convolver, problem: Problem) -> Callable[[], NDArray[Any]]:
    call = contestant.prepare(problem)
    if call is None:
        raise LookupError(f"{contestant.name} offers {problem.layer.name}, but not always")
    return call


def _miniature(layer: Layer) -> Layer:
    """Return a layer of the same kind whose memory is no help to the layer itself."""
    groups = min(layer.groups, _FEW)
    spans = (d * (k - 1) + 1 for k, d in zip(layer.kernel, layer.dilation, strict=True))
    return replace(
        layer,
        batch=1,
        channels=groups * min(layer.channels // layer.groups, _FEW),
        filters=groups * min(layer.filters // layer.groups, _FEW),
        spatial=tuple(min(n, span + _FEW) for n, span in zip(layer.spatial, spans, strict=True)),
        groups=groups,
    )
