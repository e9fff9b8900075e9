"""NumPy's BLAS, held to one thread while the pool's threads each multiply a block."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ..importing import importing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

_lock = threading.Lock()
_users = 0
_limiter: Any = None
_keeper: ThreadPoolExecutor | None = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: its own threads would compete with the pool's, and could reorder sums.

    The limit belongs to the process. The first caller sets it and the last one restores what was there before, however
    calls from several threads overlap. threadpoolctl lets only the thread that set a limit restore it, so a thread of
    its own does both. A caller who holds a limit already is the only one who may tighten it, so each caller asks too.
    """
    global _users, _limiter  # noqa: PLW0603 (the limit belongs to the process)
    with _lock:
        if _users == 0:
            _limiter = _in_keeper(lambda: _limit().__enter__())
        _users += 1
    try:
        with _limit():
            yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _in_keeper(lambda: _limiter.__exit__(None, None, None))


def _limit() -> Any:
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    """Look for the BLAS libraries of this process; it takes milliseconds, so once."""
    with importing:
        from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _in_keeper(action: Any) -> Any:
    """Run something in the thread that owns the limit."""
    global _keeper  # noqa: PLW0603 (so does its keeper)
    try:
        if _keeper is None:
            with importing:
                from concurrent.futures import ThreadPoolExecutor

            _keeper = ThreadPoolExecutor(1, thread_name_prefix="im2col-blas")
        done = _keeper.submit(action)
    except RuntimeError:  # no thread can be started; what the keeper was given is not to run when one can be again
        if _keeper is not None:
            _keeper.shutdown(wait=False, cancel_futures=True)
            _keeper = None
        return action()
    return done.result()


def _forget() -> None:
    """Start afresh in a forked child, where no call is under way and no other thread lives."""
    global _lock, _users, _keeper  # noqa: PLW0603 (the child's own)
    _lock, _keeper = threading.Lock(), None
    if _users:
        _users = 0
        _limiter.restore_original_limits()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
