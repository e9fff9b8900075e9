"""Register tiles: their IR is sound, their sums stay in registers on every kind of CPU, and older CPUs run them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.weight_gradient.rows import decide_rows
from im2col.engine import compiler
from im2col.engine.target import NAMED, host

from .kit.layers import BROAD, LAYERS, Case, convolve_against_forbidden_pages, last, problem_of
from .kit.outcomes import require
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.targets import MASKED_STORE, assembly, planning_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from im2col.engine.compiler import Kernel
    from im2col.engine.target import Target

TARGETS = ("avx512", "avx2", "zen3", "neon")


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the compiler."""
    require("llvmlite")


def chosen(cases: Iterable[Case], dtype: str, target: Target) -> dict[Kernel, str]:
    """Return the kernels that are chosen for layers on a CPU, and the layer of each."""
    found: dict[Kernel, str] = {}
    for case in cases:
        decision = decide(problem_of(case, dtype), target)
        for kernel in decision.tables(decision.view).kernels:
            found.setdefault(kernel, f"{case.axes} {case.spatial} {case.kernel}")
    return found


# Spills.

_LABEL = re.compile(r"^(\.L\w+):")
_JUMP = re.compile(r"^\s+(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\s.*?(\.L\w+)\s*$")
_SPILL = re.compile(r"%[xyz]mm\d+.*\(%rsp|\(%rsp.*%[xyz]mm\d+|^\s+(?:ldr|str|ldp|stp|ldur|stur)\s+[qvds]\d.*\[sp")
_PRODUCT = re.compile(r"\b(vfn?m\w+|v?mul[ps][sd]|v?pmull\w|fmla|fmul|mla|mul)\b")


def inner_loops(text: str) -> list[list[str]]:
    """Return the lines of each loop that multiplies vectors and holds no other loop."""
    lines = text.splitlines()
    labels = {match[1]: i for i, line in enumerate(lines) if (match := _LABEL.match(line))}
    spans = []
    for i, line in enumerate(lines):
        jump = _JUMP.match(line)
        if jump and labels.get(jump[1], i) < i:
            spans.append((labels[jump[1]], i))
    inner = [s for s in spans if not any(t != s and s[0] <= t[0] and t[1] <= s[1] for t in spans)]
    return [lines[a : z + 1] for a, z in inner if any(_PRODUCT.search(line) for line in lines[a:z])]


def spills(kernel: Kernel, target: Target) -> int:
    """Return how many times the loops over the taps move a vector to the stack or from there."""
    loops = inner_loops(assembly(kernel, target))
    assert loops, f"no loop of {kernel.parameters} multiplies"
    return sum(bool(_SPILL.search(line)) for loop in loops for line in loop)


def test_spills_are_found() -> None:
    """The eye of the tests below: a loop inside another one, with a vector that goes to the stack and back."""
    x86 = """
.LBB0_1:
	vmovups	%zmm3, 64(%rsp)
.LBB0_2:
	vmovups	64(%rsp), %zmm1
	vfmadd231ps	(%rsp), %zmm1, %zmm2
	vfmadd231ps	(%rdi,%rax), %zmm1, %zmm2
	jne	.LBB0_2
	jne	.LBB0_1
"""
    arm = ".LBB0_2:\n\tldr\tq1, [sp, #16]\n\tldr\tx1, [sp, #16]\n\tfmla\tv0.4s, v1.4s, v2.s[0]\n\tb.ne\t.LBB0_2\n"
    for text, count in ((x86, 2), (arm, 1)):
        (loop,) = inner_loops(text)
        assert sum(bool(_SPILL.search(line)) for line in loop) == count


@cache
def of_networks(dtype: str, target: str) -> dict[Kernel, str]:
    """Return the kernels that are chosen for layers of real networks, channels first and last."""
    return chosen([*BROAD, *map(last, BROAD)], dtype, NAMED[target])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("part", one_in(9, range(27)))
def test_chosen_tiles_stay_in_registers(part: int, target: str, dtype: str) -> None:
    """No tile that a layer is given moves a sum, a weight or a pixel to the stack while it multiplies."""
    found = list(of_networks(dtype, target).items())[part::27]
    assert [(layer, *kernel.parameters) for kernel, layer in found if spills(kernel, NAMED[target])] == []


def test_masked_stores_are_found() -> None:
    """The eye of the test below: into memory, and not out of it."""
    lines = ["\tvmaskmovps\t%ymm1, %ymm0, 32(%rdi)", "\tvpmaskmovd\t%xmm1, %xmm0, (%rdi,%rax)"]
    assert all(map(MASKED_STORE.search, lines))
    assert not MASKED_STORE.search("\tvmaskmovps\t(%rdi), %ymm0, %ymm1")


@cache
def for_zen_3(dtype: str) -> list[Kernel]:
    """Return the kernels of all kinds of layers, and of gradients of few filters, channels first and last."""
    cases, cpu = [case for case in LAYERS.values() if case.dtype == "float32"], NAMED["zen3"]
    found = list(chosen([*cases, *map(last, cases)], dtype, cpu))
    for case in [*HEADS, *map(last, HEADS)]:
        decision = decide_rows(problem_of(case, dtype, gradient=True), cpu)
        found += decision.tables(1, adds=True).kernels if decision else ()
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize("part", one_in(9, range(27)))
def test_no_store_goes_through_a_mask_where_that_is_microcode(part: int, dtype: str) -> None:
    """Zen 3 takes 14 times as long for it: tiles end in whole stores of powers of two, whatever is left over."""
    found = for_zen_3(dtype)[part::27]
    assert found
    assert [kernel for kernel in found if MASKED_STORE.search(assembly(kernel, NAMED["zen3"]))] == []


HEADS = [
    *(
        Case((n, n), (k, k), padding=k // 2, channels=64, filters=f)
        for n, k in ((7, 3), (28, 1), (56, 5))
        for f in (1, 3)
    ),
    Case((28, 28), (3, 3), stride=2, padding=1, channels=40, filters=4),
    Case((14, 14), (3, 3), padding=1, groups=96),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("part", range(4))
def test_gradient_tiles_stay_in_registers(part: int, target: str, dtype: str) -> None:
    """Nor do the tiles of a gradient of the weights of few filters."""
    found: dict[Kernel, str] = {}
    for case in [*HEADS, *map(last, HEADS)]:
        decision = decide_rows(problem_of(case, dtype, gradient=True), NAMED[target])
        assert decision is not None
        found |= dict.fromkeys(decision.tables(1, adds=False).kernels, f"{case.axes} {case.spatial} {case.kernel}")
    some = list(found.items())[part::4]
    assert some
    assert [layer for kernel, layer in some if spills(kernel, NAMED[target])] == []


@pytest.mark.parametrize("dtype", one_in(2, ["float32", "float64", "float16", "int16", "bfloat16", "int64"]))
@pytest.mark.parametrize("target", one_in(2, NAMED))
def test_the_ir_of_every_kind_is_sound(target: str, dtype: str) -> None:
    """LLVM verifies what is generated for every kind of layer, dtype and CPU, without running it."""
    llvm = require("llvmlite.binding")
    cases = [
        LAYERS[name]
        for name in ("dense", "stem 3×3", "image, stride 3", "image 15×15", "depthwise", "3-d, depthwise", "1-d", "3-d")
    ]
    if target == "sse2" and dtype == "float16":
        pytest.skip("SSE2 has no halves")
    found = chosen([*cases, *map(last, cases)], dtype, NAMED[target])
    for kernel in found:
        llvm.parse_assembly(kernel.ir(NAMED[target])).verify()
    assert {kernel.name for kernel in found} == {"filter_lanes", "position_lanes", "channel_lanes", "window_lanes"}


def test_ir_is_a_pure_function() -> None:
    """The same tile gives the same text."""
    kernels = list(chosen(BROAD[:3], "float32", NAMED["neon"]))
    assert [k.ir(NAMED["neon"]) for k in kernels] == [k.ir(NAMED["neon"]) for k in kernels]


# Older CPUs.

OLDER = (
    "dense",
    "1×1",
    "stride 3",
    "stem 7×7",
    "image 5×5",
    "image 15×15",
    "image, stride 3",
    "depthwise",
    "1-d",
    "3-d",
)


def run_for(cpu: str, first: int) -> None:
    """Convolve with kernels for an older CPU, against forbidden pages: half of the layers."""
    older = NAMED[cpu]._replace(triple=host().triple)
    short = [] if cpu == "sse2" else ["dense of float16", "depthwise of float16"]
    names = [*OLDER, *short, "dense of int16", "image 5×5 of float64", "dense of bfloat16", "stride 4 of int8"]
    with planning_for(older):
        convolve_against_forbidden_pages(names[first::2])
        assert compiler.failure() is None


@pytest.mark.parametrize("cpu", one_in(2, ["sse2", "avx2"]))
@pytest.mark.parametrize("first", one_in(2, range(2)))
def test_tiles_for_older_cpus_run(first: int, cpu: str) -> None:
    """Shorter vectors, fewer registers, no masks: the results are right and nothing beside the arrays is read."""
    here = host()
    if not here.triple.startswith("x86_64") or (cpu == "avx2" and "+avx2" not in here.features):
        pytest.skip(f"this CPU has no {cpu}")
    run_alone("test_tile", f"run_for({cpu!r}, {first})")
