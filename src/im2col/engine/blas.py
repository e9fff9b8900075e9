"""NumPy's BLAS, held to one thread while the pool's threads each multiply a block."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_limiter: Any = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: its own threads would compete with the pool's, and could reorder sums.

    The limit belongs to the process. The first caller sets it and the last one restores what was there before, however
    calls from several threads overlap.
    """
    global _users, _limiter  # noqa: PLW0603 (the limit belongs to the process)
    with _lock:
        if _users == 0:
            _limiter = _controller().limit(limits=1, user_api="blas")
            _limiter.__enter__()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limiter.__exit__(None, None, None)


@cache
def _controller() -> Any:
    """Look for the BLAS libraries of this process; it takes milliseconds, so once."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _forget() -> None:
    """Start afresh in a forked child, where no call is under way."""
    global _lock, _users
    if _users:
        _limiter.__exit__(None, None, None)
    _lock, _users = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
