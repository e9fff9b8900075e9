"""Register tiles: their IR is sound, their sums stay in registers on every kind of CPU, and older CPUs run them."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from im2col.algorithms import registry
from im2col.engine import compiler
from im2col.engine.target import NAMED, host
from im2col.layers.plan import decide
from im2col.spec.problem import make_problem

from . import test_implicit
from .conftest import require
from .fuzz import Case, dtype_of
from .test_gather import run_alone
from .test_implicit import LAYERS, last

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from im2col.engine.compiler import Kernel
    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

TARGETS = ("avx512", "avx2", "neon")


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the compiler."""
    require("llvmlite")


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


# Layers of real networks and the kinds that they leave out; what they are called does not matter.
BROAD = (
    *(Case((n, n), (3, 3), padding=1, channels=c, filters=c) for n, c in ((56, 64), (28, 128), (14, 256), (7, 512))),
    *(Case((n, n), (3, 3), stride=2, padding=1, channels=c, filters=2 * c) for n, c in ((56, 64), (14, 256))),
    *(Case((n, n), (1, 1), channels=c, filters=f) for n, c, f in ((56, 64, 256), (14, 1024, 256), (7, 160, 960))),
    Case((1, 1), (1, 1), channels=512, filters=1000),
    Case((28, 28), (1, 1), stride=2, channels=256, filters=512),
    Case((224, 224), (7, 7), stride=2, padding=3, channels=3, filters=64),
    Case((224, 224), (3, 3), padding=1, channels=3, filters=64),
    Case((224, 224), (16, 16), stride=16, channels=3, filters=768),
    Case((33, 33), (3, 3), dilation=(6, 6), padding=6, channels=64, filters=64),
    *(Case((512, 512), (k, k), padding=k // 2) for k in (3, 5, 7, 11, 31)),
    Case((300, 300), (3, 3), stride=2, padding=1, filters=5),
    Case((300, 300), (3, 3), stride=3, channels=3, filters=8),
    Case((112, 112), (3, 3), padding=1, groups=32),
    Case((56, 56), (3, 3), stride=2, padding=1, groups=144),
    Case((14, 14), (5, 5), padding=2, groups=480),
    Case((14, 14), (7, 7), padding=3, groups=96),
    Case((14, 14), (3, 3), padding=1, groups=20, filters=2),
    Case((56, 56), (3, 3), padding=1, groups=32, channels=4, filters=4),
    Case((28, 28), (3, 3), padding=1, groups=8, channels=24, filters=24),
    Case((16000,), (80,), stride=4, channels=1, filters=64),
    Case((500,), (3,), padding=1, channels=256, filters=256),
    Case((16, 56, 56), (3, 3, 3), padding=1, channels=16, filters=32),
    Case((5, 7), (3, 3), padding=1, channels=37, filters=41),
)
"""A layer of every class, in NCHW and its kin."""


def problem_of(case: Case, dtype: str, *, gradient: bool = False) -> Problem:
    """Return the problem of a case, as `im2col.conv` would make it, or `im2col.conv_weight_gradient`."""
    kind = dtype_of(dtype)
    w_shape = (case.groups * case.filters, case.channels, *case.kernel)
    options = case.options | {"layout": case.axes, "activation": None if gradient else "relu"}
    return make_problem("conv", case.x_shape, w_shape, kind, kind, has_bias=not gradient, **options)


def chosen(cases: Iterable[Case], dtype: str) -> dict[Kernel, str]:
    """Return the kernels that the planner takes for layers, and the layer of each."""
    algorithm: Any = registry()["implicit"]
    found: dict[Kernel, str] = {}
    for case in cases:
        for kernel in algorithm.kernels(problem_of(case, dtype)):
            found.setdefault(kernel, f"{case.axes} {case.spatial} {case.kernel}")
    return found


# Spills.

_LABEL = re.compile(r"^(\.L\w+):")
_JUMP = re.compile(r"^\s+(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\s.*?(\.L\w+)\s*$")
_SPILL = re.compile(r"%[xyz]mm\d+.*\(%rsp|\(%rsp.*%[xyz]mm\d+|^\s+(?:ldr|str|ldp|stp|ldur|stur)\s+[qvds]\d.*\[sp")
_PRODUCT = re.compile(r"\b(vfn?m\w+|v?mul[ps][sd]|v?pmull\w|fmla|fmul|mla|mul)\b")


def inner_loops(assembly: str) -> list[list[str]]:
    """Return the lines of each loop that multiplies vectors and holds no other loop."""
    lines = assembly.splitlines()
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
    loops = inner_loops(compiler.assembly(kernel, target))
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


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("target", TARGETS)
def test_chosen_tiles_stay_in_registers(target: str, dtype: str) -> None:
    """No tile that a layer is given moves a sum, a weight or a pixel to the stack while it multiplies."""
    layers = [*BROAD, *map(last, BROAD)]
    if dtype != "float32":
        layers = layers[::9]
    with planning_for(NAMED[target]):
        found = chosen(layers, dtype)
        wrong = [(layer, *kernel.parameters) for kernel, layer in found.items() if spills(kernel, NAMED[target])]
    assert wrong == []


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int16", "int64"])
@pytest.mark.parametrize("target", NAMED)
def test_the_ir_of_every_kind_is_sound(target: str, dtype: str) -> None:
    """LLVM verifies what is generated for every kind of layer, dtype and CPU, without running it."""
    llvm = require("llvmlite.binding")
    cases = [
        LAYERS[name] for name in ("dense", "stem 3×3", "image, stride 3", "image 15×15", "depthwise", "1-d", "3-d")
    ]
    if target == "sse2" and dtype == "float16":
        pytest.skip("SSE2 has no halves")
    with planning_for(NAMED[target]):
        found = chosen([*cases, *map(last, cases)], dtype)
        for kernel in found:
            llvm.parse_assembly(kernel.ir(NAMED[target])).verify()
        assert {kernel.name for kernel in found} == {"filter_lanes", "position_lanes", "channel_lanes"}


def test_ir_is_a_pure_function() -> None:
    """The same tile gives the same text."""
    kernels = list(chosen(BROAD[:3], "float32"))
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


def run_for(cpu: str) -> None:
    """Convolve with kernels for an older CPU, against forbidden pages."""
    older = NAMED[cpu]._replace(triple=host().triple)
    short = [] if cpu == "sse2" else ["dense of float16", "depthwise of float16"]
    names = [*OLDER, *short, "dense of int16", "image 5×5 of float64", "dense of bfloat16", "stride 4 of int8"]
    with planning_for(older):
        test_implicit.convolve_against_forbidden_pages(names)
        assert compiler.failure() is None


@pytest.mark.parametrize("cpu", ["avx2", "sse2"])
def test_tiles_for_older_cpus_run(cpu: str) -> None:
    """Shorter vectors, fewer registers, no masks: the results are right and nothing beside the arrays is read."""
    here = host()
    if not here.triple.startswith("x86_64") or (cpu == "avx2" and "+avx2" not in here.features):
        pytest.skip(f"this CPU has no {cpu}")
    run_alone("test_tile", f"run_for({cpu!r})")
