"""How much memory each contestant with a process of its own takes beyond its operands and its result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from .contestants import Role
from .processes import in_fresh_process
from .tables import NOTHING, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .contestants import JudgedT, SeatedContestant, WorkT
    from .rounds import Round


def memory_table(r: Round[WorkT], works: Sequence[WorkT]) -> str:
    """Return a table of what each contestant takes at its peak, each measured in a process of its own.

    Parameters
    ----------
    r : Round
        Tells who offers which work.
    works : sequence of Work
        Some of the round's.

    Returns
    -------
    str
        MB; beside them what packed weights, a padded image and 2 MB a thread would take.
    """
    title = f"Memory beyond image, weights and result, threads: {r.threads}; MB at the peak of a run"
    if not memory.is_told():
        return f"{title}: not measured, this system does not tell"
    present = [c for c in r.present(works) if c.role is not Role.LIMIT]
    rows = []
    for work in works:
        row = [work.name, f"{work.packed_bytes / 1e6 + 2 * r.threads:.1f}"]
        for contestant in present:
            if contestant.name not in r.cells[work]:
                row.append(NOTHING)
                continue
            call = partial(_rise, contestant, work, r.threads)
            row.append(f"{in_fresh_process(r.threads, call, environment=memory.ENVIRONMENT) / 1e6:.1f}")
        rows.append(row)
    return f"{title}\n\n{table(['layer', 'allowed', *(c.name for c in present)], rows)}"


def _rise(contestant: SeatedContestant[WorkT, Any], work: WorkT, threads: int) -> int:
    """Return by how many bytes preparing and running some work raises this process's resident memory at the peak.

    What preparing takes for a moment does not count, what it keeps does. A result outside `out` does not count either.
    """
    # The library is loaded and its threads are started, whatever the size of the problem.
    miniature: WorkT = work.miniature()
    _call(contestant, miniature, contestant.give(miniature, threads))()
    problem = contestant.give(work, threads)
    before = memory.resident()
    call = _call(contestant, work, problem)
    result = call()
    own = 0 if np.may_share_memory(result, problem.out) else result.nbytes
    del result
    memory.forget_peak()
    call()
    own += contestant.copied_bytes(problem)
    return max(0, memory.peak() - before - own)


def _call(contestant: SeatedContestant[WorkT, JudgedT], work: WorkT, problem: JudgedT) -> Callable[[], NDArray[Any]]:
    call = contestant.prepare(problem)
    if call is None:
        raise LookupError(f"{contestant.name} offers {work.name}, but not always")
    return call
