"""Planning for a CPU that is not here, and choosing anew."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from im2col import memory
from im2col.algorithms.implicit import decide
from im2col.algorithms.implicit.tiles.windows import WindowShape
from im2col.engine import cache as store
from im2col.engine import compiler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from im2col.algorithms.implicit.tiles.tile_shape import TileShape
    from im2col.engine.compiler import Kernel
    from im2col.engine.target import Target

MASKED_STORE = re.compile(r"\bvp?maskmov\w+\s+%[xyz]mm\d+, %[xyz]mm\d+, .*\(")
"""A line of AVX2's assembly that stores through a mask."""


def assembly(kernel: Kernel, target: Target) -> str:
    """Return `compiler.assembly`, kept from run to run, beside the kernels, by the IR and what compiles it."""
    ir = kernel.ir(target)
    how = Path(compiler.__file__).read_text("utf-8"), compiler._llvm().llvm_version_info
    key = hashlib.sha256(repr((ir, kernel.speed_level, target, how)).encode()).hexdigest()
    text = store.read(key, ".assembly")
    if text is None:
        module, machine = compiler._optimised(ir, target, kernel.speed_level)
        text = str(machine.emit_assembly(module)).encode()
        store.write(key, text, ".assembly")
    return text.decode()


def forget_choices() -> None:
    """Let algorithms be asked again."""
    memory.clear()


@contextmanager
def with_kinds(*kinds: type[TileShape]) -> Iterator[None]:
    """Let layers have tiles of these kinds alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "KINDS", kinds)
        forget_choices()
        yield
    forget_choices()


@contextmanager
def without_whole_windows() -> Iterator[None]:
    """Let layers of small windows have the tiles that loop over the rows of large ones."""
    with with_kinds(*(kind for kind in decide.KINDS if kind is not WindowShape)):
        yield


@contextmanager
def planning_for(target: Target) -> Iterator[None]:
    """Let every operation be planned and compiled for another CPU, whose instructions this one has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "usable_target", lambda: target)
        forget_choices()
        yield
    forget_choices()
