"""Imports that wait for the call that needs them, and a fork that waits for such an import.

Python lets a forked child inherit the lock of a module that another thread was importing: the first call there that
needs the module would wait for ever.
"""

from __future__ import annotations

import os
import threading

importing = threading.RLock()
"""Held by whoever imports within a function: ``with importing: import scipy.sparse``. Module bodies do not take it."""


def _acquire() -> None:
    importing.acquire()


def _release() -> None:
    importing.release()


if hasattr(os, "register_at_fork"):
    # The lock is reentrant and the child's only thread holds it, so that it can give it back.
    os.register_at_fork(before=_acquire, after_in_parent=_release, after_in_child=_release)
