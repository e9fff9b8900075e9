"""What a refactoring must not change: the IR of every tile, and the tables that kernels are called with, as digests.

``python -m tests.golden`` writes ``tests/golden.json`` anew: after a change that is meant to change kernels or choices.
Targets are the named ones, so the digests are the same on every machine; the text of IR depends on llvmlite, whose
version stands in the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite
import numpy as np

from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.implicit.numbers import stored_as
from im2col.algorithms.weight_gradient.decide import decide_gradient, tables_of
from im2col.engine.target import NAMED
from im2col.spec.transposed import make_transposed

from .kit.layers import BROAD, LAYERS, dtype_of, last, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from im2col.algorithms.implicit.tables import Tables
    from im2col.engine.compiler import Kernel
    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

    from .kit.layers import Case

FILE = Path(__file__).with_suffix(".json")
SMALL = ("dense", "stem 3×3", "image, stride 3", "image 15×15", "depthwise", "depthwise, a narrow map", "1-d", "3-d")
"""One layer of every kind of tile, with borders."""
_DIGITS = 16

Digests = dict[str, list[list[str]]]
"""For each layer, and for its weights' gradient: a digest of its decision and tables, then one of each kernel's IR."""


def layers(target: str, dtype: str, *, small: bool) -> dict[str, Case]:
    """Return the layers whose tiles are looked at for a CPU and a dtype, by what they are."""
    cases = [LAYERS[name] for name in SMALL]
    if not small and target in ("avx512", "avx2", "neon") and dtype in ("float32", "float64", "bfloat16"):
        cases += BROAD if dtype == "float32" else BROAD[::9]
    return {described(case): case for each in cases for case in (each, last(each))}


def described(case: Case) -> str:
    """Return what a case is, for people and as a key."""
    window = case.window
    sides = "×".join(map(str, case.spatial)), "×".join(map(str, case.kernel))
    shape = f"{case.axes} {case.groups}×{case.channels}→{case.filters} {sides[0]} by {sides[1]}"
    return f"{shape}, stride {window.stride}, padding {window.padding}, dilation {window.dilation}"


def digests(target: str, dtype: str, *, small: bool = False) -> Digests:
    """Return the digests of layers and of their weights' gradients: of all, or of the small ones alone."""
    cpu, found = NAMED[target], {}
    for name, case in layers(target, dtype, small=small).items():
        problem, gradient = problem_of(case, dtype), problem_of(case, dtype, gradient=True)
        found[name] = [_forward(problem, cpu), _gradient(gradient, cpu)]
    for name, problems in transposes(dtype).items():
        found[name] = [_forward(problem, cpu) for problem in problems]
    return found


def tables(target: str) -> dict[str, str]:
    """Return a digest of the decision and the tables of each layer there is, without the IR."""
    cases = {f"{name}, {each.axes}": each for name, case in LAYERS.items() for each in (case, last(case))}
    return {name: _decided(problem_of(case, "float32"), NAMED[target])[0] for name, case in cases.items()}


def transposes(dtype: str) -> dict[str, list[Problem]]:
    """Return transposed layers as the convolutions that they are, whose results have gaps."""
    kind, found = dtype_of(dtype), {}
    for layout, shape in (("NCHW", (1, 24, 9, 11)), ("NHWC", (1, 9, 11, 24))):
        made = make_transposed(shape, (24, 20, 3, 4), kind, kind, stride=2, padding=1, layout=layout, has_bias=True)
        found[f"{layout} 24→20 9×11 by 3×4, transposed"] = [phase.problem for phase in made.phases]
    return found


def _forward(problem: Problem, target: Target) -> list[str]:
    if stored_as(problem, target) is None:
        return ["this CPU cannot store it"]
    digest, found = _decided(problem, target)
    return [digest, *_irs(found.kernels, target)]


def _decided(problem: Problem, target: Target) -> tuple[str, Tables]:
    """Return the digest of a decision and its tables, and the tables."""
    decision = decide(problem, target)
    found = decision.tables(decision.view)
    copy = decision.copy
    copied = copy and [copy.shape, copy.strides, copy.nbytes, str(copy.dtype), copy.padded, copy.offset]
    decided = [decision.way, copied, decision.strides, decision.out_strides, decision.workspace_bytes]
    return _digest([decided, *_plain(found)]), found


def _gradient(problem: Problem, target: Target) -> list[str]:
    decision = decide_gradient(problem, target)
    found = tables_of(decision, decision.box, adds=True)
    decided = [decision.reason, decision.strides, decision.box, decision.workspace_bytes]
    return [_digest([decided, *_plain(found)]), *_irs(found.kernels, target)]


def _plain(found: Tables) -> list[Any]:
    """Return tables as plain values: where a job names a table's address, the table's number."""
    runs = []
    for run in found.runs:
        numbers = {table.ctypes.data: f"table {i}" for i, table in enumerate(run.tables)}
        jobs = [[numbers.get(word, word) for word in job.tolist()] for _, job, _ in run.calls]
        starts = [x for *_, x in run.calls]
        contents = [hashlib.sha256(np.ascontiguousarray(table).tobytes()).hexdigest() for table in run.tables]
        runs.append([run.rows, jobs, starts, contents])
    blocks = [[each.first, each.width, each.blocks, each.packed] for each in found.blocks]
    places = [
        [p.filters.start, p.filters.stop, p.split, p.order, p.packed, p.weights_at, p.bias_at] for p in found.places
    ]
    plain = [runs, blocks, places, found.groups, found.out_filter, bool(found.weights_outweigh)]
    return [*plain, found.far, [run.tiles for run in found.runs]] if found.far else plain


def _irs(kernels: Iterable[Kernel], target: Target) -> list[str]:
    return [f"{kernel.name} {_digest(_ir(kernel, target))}" for kernel in kernels]


_written: dict[tuple[Kernel, Target], str] = {}


def _ir(kernel: Kernel, target: Target) -> str:
    """Return a kernel's IR, written once: many layers share a tile."""
    key = kernel, target
    if key not in _written:
        _written[key] = kernel.ir(target)
    return _written[key]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:_DIGITS]


DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int16", "int64")


def recorded() -> dict[str, Any]:
    """Return what the file holds: llvmlite's version, and the digests by target and dtype."""
    content: dict[str, Any] = json.loads(FILE.read_text())
    return content


def main() -> None:
    """Write the file anew."""
    found: dict[str, Any] = {f"{target} {dtype}": digests(target, dtype) for target in NAMED for dtype in DTYPES}
    found |= {f"{target} tables": tables(target) for target in NAMED}
    lines = [f'{{"llvmlite": "{llvmlite.__version__}"']
    for key, each in found.items():
        rows = [f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(values)}" for name, values in each.items()]
        lines.append(f'"{key}": {{\n ' + ",\n ".join(rows) + "}")
    FILE.write_text(",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
