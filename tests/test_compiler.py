"""From IR to a function: verified, printed, optimised for any CPU, kept, loaded; and what happens when that fails."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import ArgumentError, col2im, conv, conv_transpose, conv_weight_gradient, im2col, plan
from im2col.algorithms.implicit.tiles import filter_lanes
from im2col.engine import cache as store
from im2col.engine import compiler, gather, gather_kernels, scatter, scatter_kernels, scatter_lines
from im2col.engine.compiler import Kernel
from im2col.engine.target import NAMED, host
from im2col.errors import EngineWarning

from .kit import copies, sums
from .kit.outcomes import require
from .kit.processes import HANG_SECONDS, run_alone
from .kit.selection import one_in
from .kit.strategies import integers
from .kit.targets import MASKED_STORE, assembly, forget_choices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from im2col.engine.target import Target

REPOSITORY = Path(__file__).parents[1]

_KERNELS = [
    *(gather_kernels.short_runs(run) for run in range(1, 1 + gather_kernels.SHORT_RUN_BYTES)),
    gather_kernels.long_runs(),
    *(gather_kernels.strided_runs(size, step * size) for size in copies.DTYPES for step in (2, 3)),
    *(gather_kernels.tiles(size, side) for size, sides in copies.SIDES.items() for side in sides),
    *(gather_kernels.planes(size, side) for size, sides in copies.SIDES.items() for side in sides),
    *(gather_kernels.spread_tiles(size, max(sides)) for size, sides in copies.SIDES.items()),
    *(scatter_kernels.sum_lines(*made) for made in sums.kernels_of(sums.PAIRS)),
]
KERNELS = {kernel.name: kernel for kernel in _KERNELS}
SOME = gather_kernels.short_runs(7)
TILE = filter_lanes.__name__


@pytest.fixture(autouse=True)
def _llvmlite() -> None:
    """Run only where there is a compiler."""
    require("llvmlite")


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Start with an empty cache and nothing loaded, and leave nothing made-up loaded; return the cache's folder."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    compiler._reset()
    yield tmp_path / "im2col"
    compiler._reset()


def test_all_kernels_are_known() -> None:
    """The list above is that of the test matrices, and every kernel has another name; test_scatter.py has the sums'."""
    assert len(KERNELS) == len(_KERNELS)
    assert {name for name in KERNELS if not name.startswith("sum_lines_")} == set(copies.MATRIX)


# IR


@pytest.mark.parametrize(("part", "target"), one_in(28, itertools.product(range(27), ["avx512", "avx2", "neon"])))
def test_the_ir_of_every_kernel_is_valid(part: int, target: str) -> None:
    """For vectors of any size LLVM verifies it; it defines one function, with as many arguments as the kernel says."""
    for name in list(KERNELS)[part::27]:
        text = KERNELS[name].ir(NAMED[target])
        module = compiler._llvm().parse_assembly(text)
        module.verify()
        (function,) = [f for f in module.functions if not f.is_declaration]
        assert function.name == name
        assert len(list(function.arguments)) == KERNELS[name].arguments


@pytest.mark.parametrize("part", one_in(3, range(3)))
def test_ir_is_a_pure_function(part: int) -> None:
    """The same text comes twice, whatever was made in between; another kernel has another text."""
    some = list(KERNELS)[5 * part :: 15]
    texts = {name: KERNELS[name].ir(NAMED["neon"]) for name in some}
    assert texts == {name: KERNELS[name].ir(NAMED["neon"]) for name in reversed(some)}
    assert len(set(texts.values())) == len(some)


def test_invalid_ir_is_refused() -> None:
    """What LLVM cannot parse or verify is an error of this process, not of the machine."""
    with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
        compiler.assembly(Kernel("broken", lambda *_: "define void @broken() { ret i64 }", (), 0), host())


# What IM2COL_PRINT shows


@pytest.mark.parametrize(
    ("variable", "ir", "asm"),
    [("", False, False), ("ir", True, False), ("asm", False, True), ("ir,asm", True, True), (" asm , ir", True, True)],
)
@pytest.mark.usefixtures("cold")
def test_stages_are_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], variable: str, ir: bool, asm: bool
) -> None:
    """The IR as it was written and the assembly as it will run, on standard error, kept kernels included."""
    monkeypatch.setenv("IM2COL_PRINT", variable)
    text, code = SOME.ir(host()) * ir, compiler.assembly(SOME, host()) * asm
    for _ in range(2):
        compiler.object_code(SOME, host())
        assert capfd.readouterr() == ("", text + code)


def test_printing_works_from_outside() -> None:
    """A program that sets the variable sees the kernels that it loads, and nothing else."""
    code = "from im2col.engine import compiler, gather_kernels; compiler.load(gather_kernels.short_runs(7))"
    show = {**os.environ, "IM2COL_PRINT": "ir,asm"}
    done = subprocess.run([sys.executable, "-c", code], env=show, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("; ModuleID = ")
    assert done.stderr.count('define void @"copy_short_runs_7"') == 1
    assert done.stderr.count("\ncopy_short_runs_7:") == 1
    assert done.stdout == ""


# Assembly


@cache
def lines_of(name: str, target: str) -> tuple[str, ...]:
    """Return the instructions of a kernel for one of the named targets, without labels, directives and comments."""
    text = assembly(KERNELS[name], NAMED[target])
    lines = (re.split(r"\s+#|\s+//", line)[0].strip() for line in text.splitlines() if line.startswith("\t"))
    return tuple(line for line in lines if line and not line.startswith("."))


VECTORS = {"avx512": r"%zmm\d", "avx2": r"%ymm\d", "sse2": r"%xmm\d", "neon": r"\b[qv]\d+\b"}
WIDER = {"avx512": r"(?!)", "avx2": r"%zmm\d", "sse2": r"%[yz]mm\d|^v", "neon": r"\bz\d+\b"}
FAMILIES = {
    "copy_short_runs_64": VECTORS,
    "copy_short_runs_20": VECTORS | {"avx512": r"%ymm\d", "neon": r"\b[qv]\d+\b"},
    "copy_long_runs": VECTORS | {"avx512": r"%ymm\d"},
    "copy_strided_runs_4_by_2": VECTORS,
    "copy_tiles_1_16": dict.fromkeys(("avx512", "avx2", "sse2"), r"%xmm\d") | {"neon": VECTORS["neon"]},
    "copy_tiles_4_8": VECTORS | {"avx512": r"%ymm\d"},
    "copy_spread_tiles_4_8": VECTORS | {"avx512": r"%ymm\d"},
    "sum_lines_f4_f4_dense_to_dense": VECTORS,
    "sum_lines_f4_f4_strided_to_strided": VECTORS,
    "sum_lines_i2_i8_dense_to_dense": VECTORS,
}
"""Kernels of every family, and the registers that each target should use."""


@pytest.mark.parametrize("target", WIDER)
@pytest.mark.parametrize("name", FAMILIES)
def test_kernels_use_the_registers_of_their_target(name: str, target: str) -> None:
    """The vectors are as wide as the target's, or as the kernel's own, and never wider."""
    lines = lines_of(name, target)
    assert any(re.search(FAMILIES[name][target], line) for line in lines)
    assert not [line for line in lines if re.search(WIDER[target], line)]


@pytest.mark.parametrize("target", NAMED)
@pytest.mark.parametrize("name", FAMILIES)
def test_kernels_call_nothing(name: str, target: str) -> None:
    """A kernel is a leaf; LLVM takes a loop over few vectors for a copy, and may call the C library's for it."""
    jump = re.compile(r"(?:callq?|blr?)\s+(\S+)|(?:jmp|b)\s+(\w+@PLT|mem\w+)$")
    called = {match[1] or match[2] for line in lines_of(name, target) if (match := jump.match(line))}
    assert called <= ({"memcpy", "memcpy@PLT"} if name == "copy_long_runs" else set())


@pytest.mark.parametrize("name", FAMILIES)
def test_no_store_goes_through_a_mask_where_that_is_microcode(name: str) -> None:
    """The end of a row of pixels is stored in whole smaller vectors."""
    assert [line for line in lines_of(name, "zen3") if MASKED_STORE.search(line)] == []


IN_REGISTERS = {
    "avx512": [
        *(name for name in KERNELS if name.startswith(("copy_tiles", "copy_spread_tiles"))),
        *(name for name in KERNELS if re.match(r"sum_lines_f4_\w+(to_dense|strided_to)", name)),
    ],
    "avx2": [
        *(f"copy_tiles_{size}_{side}" for size, sides in copies.SIDES.items() for side in sides if side < 16),
        *("copy_spread_tiles_4_8", "copy_spread_tiles_8_4"),
    ],
}
"""Kernels whose tiles fit into the registers; 16 rows and what is being made of them do not fit into AVX2's 16. Sums
that are not stored as they are lie on the stack meanwhile."""


@pytest.mark.parametrize(
    ("target", "name"), one_in(3, [(target, name) for target, names in IN_REGISTERS.items() for name in names])
)
def test_tiles_stay_in_registers(target: str, name: str) -> None:
    """No vector is moved to the stack and back."""
    moved = [line for line in lines_of(name, target) if re.search(r"%[xyz]mm\d", line) and "(%rsp" in line]
    assert moved == []


# The same kernels for older CPUs, run here

OLDER = {
    *(f"copy_short_runs_{run}" for run in (3, 4, 5, 20, 33, 63)),
    *("copy_long_runs", "copy_strided_runs_4_by_2", "copy_strided_runs_2"),
    *("copy_tiles_1_8", "copy_tiles_1_16", "copy_tiles_2_16", "copy_tiles_4_8", "copy_tiles_8_4"),
}
OLDER_SUMS = [scatter_lines.Element(*names) for names in (("f4", "f4"), ("i8", "i1"), ("u8", "u2"))]


def run_for(cpu: str, sums_of: int | None) -> None:
    """Run kernels compiled for an older CPU against forbidden pages: all copies, or the sums of one pair."""
    older = NAMED[cpu]._replace(triple=host().triple)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "host", lambda: older)
        if sums_of is None:
            copies.copy_against_forbidden_pages(OLDER)
        else:
            sums.sum_against_forbidden_pages([OLDER_SUMS[sums_of]], sums.WINDOWS.values())
        assert compiler.failure() is None


@pytest.mark.parametrize("sums_of", one_in(4, [None, *range(3)]))
@pytest.mark.parametrize("cpu", one_in(2, ["sse2", "avx2"]))
def test_kernels_for_older_cpus_run(cpu: str, sums_of: int | None) -> None:
    """Without masked instructions and wide vectors the results and the bytes that are touched are the same."""
    here = host()
    if not here.triple.startswith("x86_64") or (cpu == "avx2" and "+avx2" not in here.features):
        pytest.skip(f"this CPU has no {cpu}")
    run_alone("test_compiler", f"run_for({cpu!r}, {sums_of})")


# The cache


@pytest.mark.usefixtures("cold")
def test_a_kernel_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process finds the object file and compiles nothing; the kernel that it loads works."""
    code = compiler.object_code(SOME, host())
    assert store.count() == 1

    def never(*_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "_optimised", never)
    assert compiler.object_code(SOME, host()) == code
    function = compiler.load(SOME)
    assert function is not None
    assert compiler.load(SOME) is function
    assert compiler.loaded(SOME) is function
    src, dst, table = np.arange(20, dtype=np.uint8), np.zeros(20, np.uint8), np.array([5, 0])
    steps = np.zeros(10, np.int64)
    loops = [1] * gather_kernels.OUTER_LOOPS
    addresses = [array.ctypes.data for array in (dst, src, steps, table)]
    function(*addresses[:2], *loops, addresses[2], 2, addresses[3], 7, 0, 0, 0)
    assert dst.tolist() == [*range(5, 12), *range(7), *[0] * 6]


@pytest.mark.usefixtures("cold")
def test_what_is_kept_is_found_whatever_else_is_loaded() -> None:
    """Other modules may refer to the same constants as a kernel's source; ``marshal`` of its own accord tells."""
    compiler.object_code(SOME, host())
    consts = SOME.build.__code__.co_consts
    held = [*consts, consts]
    compiler.object_code(SOME, host())
    assert (len(held) > 1, store.count()) == (True, 1)


@pytest.mark.usefixtures("cold")
def test_what_is_kept_depends_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kernel, CPU, feature, triple, LLVM or source of the engine has another key; the same has the same."""
    keys: list[str] = []
    machine = SimpleNamespace(emit_object=lambda _: b"code")
    monkeypatch.setattr(compiler, "_optimised", lambda *_: (None, machine))
    monkeypatch.setattr(store, "write", lambda key, _: keys.append(key))
    target = NAMED["avx2"]
    changes: list[dict[str, Any]] = [{}, {"cpu": "znver2"}, {"features": "+fma"}, {"triple": "x86_64-apple-darwin"}]
    for change in changes:
        compiler.object_code(SOME, target._replace(**change))
    compiler.object_code(gather_kernels.short_runs(8), target)
    monkeypatch.setattr(compiler, "llvm_version", lambda: (99, 1, 2))
    compiler.object_code(SOME, target)
    monkeypatch.setattr(compiler, "_source_digest", lambda _: "another source")
    compiler.object_code(SOME, target)
    assert len(set(keys)) == len(keys) == 7
    compiler.object_code(SOME, target)
    assert keys[-1] == keys[-2]
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)


@pytest.mark.usefixtures("cold")
def test_slices_are_constants_since_python_3_14(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel whose source has them, alone, in a tuple, and in a function of its own, is kept by what they are."""
    keys: list[str] = []
    machine = SimpleNamespace(emit_object=lambda _: b"code")
    monkeypatch.setattr(compiler, "_optimised", lambda *_: (None, machine))
    monkeypatch.setattr(store, "write", lambda key, _: keys.append(key))

    def built(constants: tuple[object, ...], *, within: bool) -> Kernel:
        def build(name: str, *_: object) -> str:
            return name

        code = build.__code__
        code = code.replace(co_consts=(*code.co_consts, *constants))
        if within:
            code = build.__code__.replace(co_consts=(*build.__code__.co_consts, code))
        build.__code__ = code
        return Kernel("sliced", build, (), 1)

    for within in (False, True):
        for bounds in ((slice(1, 2),), (slice(1, 3),), (slice(1, 2, 2),), ((slice(1, 2), 7),), ((1, 2, None),)):
            compiler.object_code(built(bounds, within=within), NAMED["avx2"])
            compiler.object_code(built(bounds, within=within), NAMED["avx2"])
    assert keys[::2] == keys[1::2]
    assert len(set(keys)) == 10


def test_the_source_is_known_by_every_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A change in a file of the engine, of what it rests on or of a kernel's room, a new one: each another digest."""
    engine, room = tmp_path / "engine", tmp_path / "algorithms"
    monkeypatch.setattr(compiler, "__file__", str(engine / "compiler.py"))
    monkeypatch.setattr(filter_lanes, "__file__", str(room / "implicit/tiles/filter_lanes.py"))
    digests: list[str] = []

    def look() -> None:
        compiler._folder_digest.cache_clear()
        digests.append(compiler._source_digest.__wrapped__(TILE))

    for name, text in [
        ("engine/compiler.py", "a"),
        ("engine/gather.py", "b"),
        ("engine/gather.py", "c"),
        ("spec/pool.py", "b"),
        ("spec/pool.py", "c"),
        ("algorithms/implicit/tiles/epilogue.py", "b"),
        ("algorithms/implicit/tiles/epilogue.py", "d"),
        ("algorithms/implicit/tasks.py", "b"),
        ("algorithms/winograd/linear.py", "b"),
        ("algorithms/winograd/linear.py", "c"),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        look()
    (engine / "gather.py").rename(engine / "scatter.py")
    look()
    monkeypatch.setattr(compiler, "__version__", "9")  # where no source is installed it is all that tells
    look()
    assert len(set(digests)) == len(digests) == 12
    for name in ("algorithms/notes.txt", "photo/png_filters.py", "layers/plan.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("e")
        look()
    assert len(set(digests)) == 12
    monkeypatch.undo()
    compiler._folder_digest.cache_clear()
    assert compiler._source_digest(TILE) not in digests
    assert compiler._source_digest(TILE) != compiler._source_digest(gather_kernels.__name__)


def test_a_kernel_from_elsewhere_is_known_by_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies beside it counts."""
    monkeypatch.setattr(sys.modules[__name__], "__file__", str(tmp_path / "own.py"))
    digests = []
    for text in "ab":
        (tmp_path / "beside.py").write_text(text)
        compiler._folder_digest.cache_clear()
        digests.append(compiler._source_digest.__wrapped__(__name__))
    compiler._folder_digest.cache_clear()
    assert digests[0] != digests[1]


@pytest.mark.usefixtures("cold")
def test_threads_load_a_kernel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads ask at once, they get one function, compiled once."""
    compiled: list[str] = []
    optimised = compiler._optimised

    def counting(ir: str, target: Target, speed_level: int) -> Any:
        compiled.append(ir)
        return optimised(ir, target, speed_level)

    monkeypatch.setattr(compiler, "_optimised", counting)
    start = threading.Barrier(4)

    def load() -> Any:
        start.wait()
        return compiler.load(SOME)

    with ThreadPoolExecutor(4) as pool:
        first, *others = [future.result() for future in [pool.submit(load) for _ in range(4)]]
    assert first is not None
    assert all(function is first for function in others)
    assert len(compiled) == 1


FORKED = """
import os, threading
from im2col.engine import cache, compiler, gather_kernels
cache.read = lambda *_: None
compiler.load(gather_kernels.short_runs(7))
begun = threading.Event()
def compile_many():
    begun.set()
    for run in range(9, 25):
        compiler.load(gather_kernels.short_runs(run))
threading.Thread(target=compile_many).start()
begun.wait()
child = os.fork()
if not child:
    assert compiler.load(gather_kernels.short_runs(8)) and compiler.loaded(gather_kernels.short_runs(7))
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_loads_kernels() -> None:
    """A thread of the parent that was compiling when the process forked does not stop the child."""
    subprocess.run([sys.executable, "-c", FORKED], cwd=REPOSITORY, check=True, timeout=HANG_SECONDS)


# Failure


def warning(cause: str) -> str:
    """Return the whole message of the warning."""
    return (
        f"im2col's engine cannot be used ({cause}); NumPy does its work, with the same results but slower. "
        "Installing or repairing llvmlite brings it back"
    )


def no_cpu(*_: object) -> Any:
    """Fail as llvmlite does."""
    raise RuntimeError("no such CPU")


@pytest.fixture
def broken(cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every kernel fail that is asked for, and ask for them whatever the size of arrays."""
    assert not cold.exists()
    monkeypatch.setattr(compiler, "host", no_cpu)
    for module, threshold in itertools.product((gather, scatter), copies.THRESHOLDS):
        monkeypatch.setattr(module, threshold, 1)


@pytest.mark.usefixtures("broken")
def test_a_failure_is_told_once() -> None:
    """The first kernel that fails warns; the following ones are not even tried; the cause can be asked for."""
    assert compiler.failure() is None
    with pytest.warns(EngineWarning) as caught:
        assert compiler.load(SOME) is None
    assert [str(each.message) for each in caught] == [warning("RuntimeError: no such CPU")]
    for kernel in KERNELS.values():
        assert (compiler.load(kernel), compiler.loaded(kernel)) == (None, None)
    assert compiler.failure() == "RuntimeError: no such CPU"


@pytest.mark.parametrize("stage", ["host", "_optimised", "_link", "_llvm"])
@pytest.mark.usefixtures("cold")
def test_whatever_fails(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """A stage that raises is a failure of the engine."""
    monkeypatch.setattr(compiler, stage, no_cpu)
    with pytest.warns(EngineWarning) as caught:
        assert compiler.load(SOME) is None
    assert [str(each.message) for each in caught] == [warning("RuntimeError: no such CPU")]


@pytest.mark.usefixtures("cold")
def test_object_code_without_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code that does not define the kernel is a failure, not a call into nowhere."""
    other = compiler.object_code(gather_kernels.short_runs(8), host())
    monkeypatch.setattr(compiler, "object_code", lambda *_: other)
    with pytest.warns(EngineWarning) as caught:
        assert compiler.load(SOME) is None
    cause = "RuntimeError: the object code of copy_short_runs_7 does not define it"
    assert [str(each.message) for each in caught] == [warning(cause)]


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_from_numpy(threads: int) -> None:
    """Without the engine `im2col` and `col2im` give the same, with one warning from however many threads."""
    x = np.arange(2 * 3 * 20 * 21, dtype=np.float32).reshape(2, 3, 20, 21)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        matrix = im2col(x, 3, threads=threads)
        pixels = col2im(matrix, x.shape, 3, reduce="mean", threads=threads)
    assert [(each.category, str(each.message)) for each in caught] == [
        (EngineWarning, warning("RuntimeError: no such CPU"))
    ]
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
    np.testing.assert_array_equal(matrix, windows.reshape(matrix.shape))
    np.testing.assert_array_equal(pixels, x)


@pytest.mark.usefixtures("broken")
def test_a_warning_that_is_an_error_comes_once() -> None:
    """Where warnings are errors, the first call raises it, and the next ones go through NumPy."""
    x = np.arange(400.0).reshape(20, 20)
    with pytest.raises(EngineWarning, match="no such CPU"):
        im2col(x, 3)
    np.testing.assert_array_equal(im2col(x, 3), np.lib.stride_tricks.sliding_window_view(x, (3, 3)).reshape(-1, 9))


@pytest.mark.usefixtures("cold")
def test_kernels_that_are_loaded_go_on_working(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure does not take back what works."""
    function = compiler.load(SOME)
    monkeypatch.setattr(compiler, "host", no_cpu)
    with pytest.warns(EngineWarning):
        assert compiler.load(gather_kernels.short_runs(9)) is None
    assert compiler.load(SOME) is function


@contextmanager
def refusing_kernels(names: str, folder: Path) -> Iterator[None]:
    """Let LLVM refuse the kernels of which the names begin so, and compile all others."""
    optimised = compiler._optimised

    def optimise(ir: str, target: Target, speed_level: int) -> Any:
        if f'define void @"{names}' in ir:
            raise RuntimeError("LLVM ERROR: Cannot select")
        return optimised(ir, target, speed_level)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IM2COL_CACHE_DIR", str(folder))
        compiler._reset()
        forget_choices()
        patch.setattr(compiler, "_optimised", optimise)
        yield
    compiler._reset()
    forget_choices()


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[None]:
    """Let LLVM refuse the kernels of one kind, and compile all others."""
    with refusing_kernels(TILE.rpartition(".")[2] + '"', tmp_path):
        yield


REFUSED = (
    "im2col's engine cannot compile its kernel filter_lanes (RuntimeError: LLVM ERROR: Cannot select); other "
    "algorithms do its work, slower. All other kernels are used; another version of llvmlite may compile it"
)


@pytest.mark.usefixtures("refusing")
def test_a_kernel_that_is_refused_is_no_failure_of_the_engine() -> None:
    """The layers that need it fall back, with one warning for all of them; the others keep the engine."""
    x, w = np.ones((1, 64, 9, 9), np.float32), np.ones((64, 64, 3, 3), np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dense = plan(x.shape, w)
        results = conv(x, w), dense(x), conv_transpose(x, w), conv_weight_gradient(x, np.ones((1, 64, 7, 7), "f4"), 3)
        other = plan((1, 1, 64, 64), np.ones((1, 1, 3, 3), np.float32))
    assert [(each.category, str(each.message)) for each in caught] == [(EngineWarning, REFUSED)]
    assert (dense.algorithm, other.algorithm) == ("explicit", "implicit")
    assert "implicit   cannot: the engine cannot compile its kernel (RuntimeError: LLVM ERROR" in str(dense)
    assert compiler.failure() is None
    for result, value in zip(results, (576, 576, 576, 49), strict=True):
        assert result.max() == value
    with pytest.raises(
        ArgumentError, match=r"\Aconv: algorithm 'implicit' cannot solve this: the engine cannot compile"
    ):
        conv(x, w, algorithm="implicit")


@pytest.mark.filterwarnings("ignore::im2col.EngineWarning")
def test_copies_that_are_refused_are_made_by_numpy(tmp_path: Path) -> None:
    """Images in bands, in blocks of tiles, and within a call that packs its weights: the same results."""
    x, w = integers(1, 2, 64, 28, 28), integers(2, 64, 64, 3, 3)
    images = (x, np.asfortranarray(x))
    right = conv(x, w, padding=1, algorithm="explicit")
    with refusing_kernels("copy_", tmp_path):
        for algorithm in ("implicit", "winograd", "fft", "auto"):
            prepared = plan(x.shape, w, padding=1, algorithm=algorithm)
            for image in images:
                np.testing.assert_allclose(prepared(image), right, rtol=0, atol=2e-5 * np.abs(right).max())
                for _ in range(3):  # a call that comes again is another one
                    np.testing.assert_array_equal(conv(image, w, padding=1), right)
    assert compiler.failure() is None
