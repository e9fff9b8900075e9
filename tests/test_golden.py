"""Nothing of a kernel or a table changes by accident: every digest is the recorded one."""

from __future__ import annotations

import pytest

from im2col.engine.target import NAMED

from . import golden
from .kit.outcomes import missing, require
from .kit.selection import wide_but


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the compiler, in the version that wrote the recorded IR."""
    version = require("llvmlite").__version__
    if version != golden.recorded()["llvmlite"]:
        missing(f"the recorded IR is that of llvmlite {golden.recorded()['llvmlite']}, this is {version}")


@pytest.mark.parametrize("dtype", wide_but({"float32", "float64", "bfloat16", "int8"}, golden.DTYPES))
@pytest.mark.parametrize("target", wide_but({"avx2", "zen4", "neon"}, NAMED))
def test_small_layers(target: str, dtype: str) -> None:
    """Every kind of tile, channels first and last, with the tables around it."""
    found, expected = golden.digests(target, dtype, small=True), golden.recorded()[f"{target} {dtype}"]
    assert found == {name: expected[name] for name in found}


@pytest.mark.parametrize("target", wide_but({"avx512", "avx2", "sse2"}, NAMED))
def test_tables_of_every_layer(target: str) -> None:
    """Every border, stride and dilation there is: which tile, which copy, which tables."""
    assert golden.tables(target) == golden.recorded()[f"{target} tables"]


@pytest.mark.wide
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("target", ["avx512", "avx2", "neon"])
def test_layers_of_real_networks(target: str, dtype: str) -> None:
    """The layers whose registers `test_tile.py` looks at."""
    assert golden.digests(target, dtype) == golden.recorded()[f"{target} {dtype}"]


def test_a_changed_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of the cycle model, a step of a table, a word of the IR: each changes some digest."""
    from im2col.algorithms.implicit.tiles import cycles

    monkeypatch.setattr(cycles, "LOADS_TOGETHER", 2 * cycles.LOADS_TOGETHER)
    assert golden.digests("avx2", "float32", small=True) != golden.recorded()["avx2 float32"]
