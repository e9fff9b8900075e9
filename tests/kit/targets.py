"""Planning for a CPU that is not here."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from im2col.engine import compiler
from im2col.engine.target import Target, host
from im2col.layers.plan import decide

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def planning_for(target: Target) -> Iterator[pytest.MonkeyPatch]:
    """Let everything be planned and compiled for another CPU."""

    def forget() -> None:
        decide.cache_clear()
        compiler._reset()
        for name, module in list(sys.modules.items()):
            if name.startswith("im2col.algorithms"):
                for value in vars(module).values():
                    getattr(value, "cache_clear", lambda: None)()

    import_module("im2col.algorithms.weight_gradient.runner")  # with the host that is really there
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("im2col.") and getattr(module, "host", None) is host:
                patch.setattr(module, "host", lambda: target)
        forget()
        yield patch
    forget()
