"""Object code that is put into memory without LLVM does what LLVM's own loader makes of it."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine import cache as store
from im2col.engine import compiler, cpu, object_files
from im2col.engine.compiler import Kernel
from im2col.engine.object_files import placed
from im2col.engine.target import host

from .kit.outcomes import require
from .kit.processes import HANG_SECONDS, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = sys.platform == "linux" and struct.calcsize("P") == 8


def here() -> None:
    """Run only where such files are."""
    require("llvmlite")
    if not HERE or host().is_arm:
        pytest.skip("kernels of this system are no ELF files of x86-64")


IR = {
    "plain": "ret void",
    "constants": """
  %p = inttoptr i64 %to to ptr
  %a = load <8 x float>, ptr %p, align 4
  %b = fmul <8 x float> %a, <float 1.0, float 2.5, float 3.0, float 4.0, float 5.0, float 6.0, float 7.0, float 8.5>
  %c = fadd <8 x float> %b, <float 0.5, float 0.25, float 1.5, float 9.0, float 3.5, float 0.75, float 4.5, float 8.0>
  store <8 x float> %c, ptr %p, align 4
  ret void""",
    "table": """
  %p = inttoptr i64 %to to ptr
  %n = load i32, ptr %p
  %at = getelementptr [5 x i32], ptr @numbers, i32 0, i32 %n
  %v = load i32, ptr %at
  store i32 %v, ptr %p
  ret void""",
    "filled": """
  %p = inttoptr i64 %to to ptr
  %n = load i64, ptr %p
  call void @llvm.memset.p0.i64(ptr %p, i8 7, i64 %n, i1 false)
  ret void""",
    "moved": """
  %p = inttoptr i64 %to to ptr
  %n = load i64, ptr %p
  %q = getelementptr i8, ptr %p, i64 3
  call void @llvm.memmove.p0.p0.i64(ptr %q, ptr %p, i64 %n, i1 false)
  call void @llvm.memset.p0.i64(ptr %p, i8 7, i64 %n, i1 false)
  ret void""",
}
HEAD = """
@numbers = private unnamed_addr constant [5 x i32] [i32 3, i32 1, i32 4, i32 1, i32 5]
@counter = internal global i32 0
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
declare float @sinf(float)
"""


def object_of(name: str, body: str) -> tuple[Kernel, bytes]:
    """Return a kernel of one argument, and its object code."""
    kernel = Kernel(name, lambda *_: f"{HEAD}define void @{name}(i64 %to) {{{body}\n}}", (), 1)
    module, machine = compiler._optimised(kernel.ir(host()), host(), 3)
    return kernel, machine.emit_object(module)


def made(address: int) -> Callable[[Any], None]:
    """Return what stands at an address as a function."""
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


@pytest.mark.parametrize("name", IR)
def test_it_does_what_llvm_makes_of_it(name: str) -> None:
    """Constants in vectors, a table, and calls of the C library."""
    here()
    kernel, code = object_of(name, IR[name])
    address = placed(code, name)
    assert address
    start = np.zeros(64, np.uint8)
    start[:32] = {"constants": np.arange(8, dtype=np.float32).view(np.uint8)}.get(name, start[:32])
    start[0] = {"table": 4, "filled": 9, "moved": 9}.get(name, start[0])
    found, expected = start.copy(), start.copy()
    made(address)(found.ctypes.data)
    made(compiler._linked_by_llvm(kernel, code, host()))(expected.ctypes.data)
    np.testing.assert_array_equal(found, expected)
    assert name == "plain" or (found != start).any()


OTHERS = {
    "something to write": "\n  %v = load i32, ptr @counter\n  %w = add i32 %v, 1\n  store i32 %w, ptr @counter"
    "\n  ret void",
    "another function": "\n  %p = inttoptr i64 %to to ptr\n  %a = load float, ptr %p\n  %b = call float @sinf(float %a)"
    "\n  store float %b, ptr %p\n  ret void",
}


@pytest.mark.parametrize("what", OTHERS)
def test_the_rest_is_left_to_llvm(what: str) -> None:
    """A file with more than kernels have is not guessed at; nor is one of another kind, or without the function."""
    here()
    name = what.replace(" ", "_")
    _, code = object_of(name, OTHERS[what])
    assert placed(code, name) is None


def test_files_of_other_kinds() -> None:
    """Of other systems and CPUs, and what is none."""
    here()
    _, code = object_of("plain", IR["plain"])
    assert placed(code, "plain") is not None
    assert placed(code, "other") is None
    assert placed(b"\xfe\xed\xfa\xcf" + code[4:], "plain") is None
    assert placed(code[:18] + struct.pack("<H", 183) + code[20:], "plain") is None
    assert placed(code[:16] + struct.pack("<H", 3) + code[18:], "plain") is None


HEADER, SECTION, SYMBOL, REFERENCE = struct.Struct("<40xQ10xHH"), struct.Struct("<4xI16xQQII16x"), 24, 24
"""Of a file: where its sections' table lies, how long an entry is, how many there are. Of a section: what it is, where
it lies, how long it is, and the two sections that it points to."""
RELA, REL, SYMTAB = 4, 9, 2


def table_of(code: bytes) -> list[tuple[int, tuple[int, ...]]]:
    """Return where each section's header lies, and what it says."""
    table, size, count = HEADER.unpack_from(code)
    return [(at, SECTION.unpack_from(code, at)) for at in range(table, table + size * count, size)]


def changed(code: bytes, at: int, form: str, value: int) -> bytes:
    """Return a file with another number in one place."""
    return code[:at] + struct.pack(form, value) + code[at + struct.calcsize(form) :]


def test_files_that_are_cut_off() -> None:
    """At any byte: they are left to LLVM, and nothing is raised."""
    here()
    for name in ("constants", "moved"):
        _, code = object_of(name, IR[name])
        assert placed(code, name)
        assert [n for n in range(len(code)) if placed(code[:n], name) is not None] == []


def test_files_that_are_damaged() -> None:
    """What points beyond its section, or beyond the file, is no kernel: it could run anything, or write anywhere."""
    here()
    _, code = object_of("moved", IR["moved"])
    sections = table_of(code)
    headers = {kind: (at, start) for at, (kind, start, *_) in sections if kind in {RELA, SYMTAB}}
    (references, first_reference), (symbols, first_symbol) = headers[RELA], headers[SYMTAB]
    (function,) = [
        at for at in range(first_symbol, len(code) - SYMBOL, SYMBOL) if code[at + 4] & 15 == 2 and code[at + 6] != 0
    ][:1]
    (text,) = [at for at, (kind, _, size, *_) in sections if kind == 1 and size][:1]
    damaged = {
        "the function behind its section": changed(code, function + 8, "<Q", 1 << 20),
        "the function nowhere": changed(code, function + 8, "<Q", (1 << 64) - 16),
        "its section beyond the file": changed(code, text + 24, "<Q", len(code)),
        "its section too long": changed(code, text + 32, "<Q", 1 << 40),
        "a reference behind its section": changed(code, first_reference, "<Q", 1 << 20),
        "a reference at its section's end": changed(code, first_reference, "<Q", sections_size(code, text) - 3),
        "a reference too far": changed(code, first_reference + 16, "<q", 1 << 40),
        "a reference to no symbol": changed(code, first_reference + 12, "<I", 1 << 20),
        "references without addends": changed(code, references + 4, "<I", REL),
        "more references than there are": changed(code, references + 32, "<Q", 1 << 40),
        "names in no section": changed(code, symbols + 40, "<I", 1 << 20),
        "a name without an end": changed(code, function, "<I", 1 << 30),
        "sections beyond the file": changed(code, 40, "<Q", len(code) - 1),
        "sections nowhere": changed(code, 40, "<Q", (1 << 64) - 1),
        "more sections than there are": changed(code, 60, "<H", 0xFFFF),
        "no sections": changed(code, 60, "<H", 0),
    }
    assert placed(code, "moved")
    assert {what: placed(each, "moved") for what, each in damaged.items()} == dict.fromkeys(damaged)


def sections_size(code: bytes, at: int) -> int:
    """Return how long the section is whose header lies there."""
    return int(SECTION.unpack_from(code, at)[2])


def test_it_cannot_be_written_any_more() -> None:
    """Memory that is run is not written: no process has both."""
    here()
    _, code = object_of("plain", IR["plain"])
    address = placed(code, "plain")
    assert address
    ranges = [line.split()[:2] for line in Path("/proc/self/maps").read_text("ascii").splitlines()]
    (rights,) = [
        rights for area, rights in ranges if int(area.split("-")[0], 16) <= address < int(area.split("-")[1], 16)
    ]
    assert rights == "r-xp"


def test_where_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM may have another way."""
    here()
    kernel, code = object_of("plain", IR["plain"])
    monkeypatch.setattr(object_files, "_in_memory", lambda _: None)
    assert placed(code, "plain") is None
    compiler._link(kernel, code, host())(0)


REFUSES = """
import sys
from pathlib import Path
from im2col.engine import object_files
kernel, library = Path(sys.argv[1]).read_bytes(), object_files._library()
def held():
    return int(Path("/proc/self/statm").read_text("ascii").split()[0])
assert object_files.placed(kernel, "plain")
if library.prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE: no page that could be written is ever run
    sys.exit("no such wish")
before = held()
print({object_files.placed(kernel, "plain") for _ in range(1000)}, held() - before < 500)
"""


def test_a_system_that_refuses_keeps_its_memory(tmp_path: Path) -> None:
    """Linux's own refusal, of 6.3 and later: nothing is raised, and no page stays behind."""
    here()
    _, code = object_of("plain", IR["plain"])
    (tmp_path / "plain.o").write_bytes(code)
    command = [sys.executable, "-c", REFUSES, str(tmp_path / "plain.o")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    if "no such wish" in done.stderr:
        pytest.skip("this Linux cannot be asked to refuse")
    assert (done.stdout, done.stderr) == ("{None} True\n", "")


CONVOLVES = """
import sys
import numpy as np
import im2col
x, w = np.arange(3 * 32 * 32, dtype=np.float32).reshape(3, 32, 32), np.ones((8, 3, 3, 3), np.float32)
y = im2col.conv2d(x, w, padding=1, algorithm="implicit")
print("llvmlite.binding" in sys.modules, float(y.sum()), im2col.show_config()["target"])
"""


def test_processes_that_compile_nothing_load_no_llvm(tmp_path: Path) -> None:
    """The first one compiles; the second one finds its kernels, and what LLVM said of the CPU; the answers agree."""
    here()
    if cpu._identity() is None:
        pytest.skip("this system does not say what its CPU is")
    lines = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", CONVOLVES],
            cwd=REPOSITORY,
            env={"IM2COL_CACHE_DIR": str(tmp_path), "PATH": "", "PYTHONPATH": str(REPOSITORY / "src")},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
        )
        lines.append(done.stdout.split(maxsplit=1))
    assert [loaded for loaded, _ in lines] == ["True", "False"]
    assert lines[0][1] == lines[1][1]


def test_what_is_kept_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what LLVM says; another CPU, and another llvmlite, are asked anew; where nothing can be kept, LLVM is."""
    here()
    binding = require("llvmlite.binding")
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    kept = cpu._kept.__wrapped__
    flags = binding.get_host_cpu_features()
    expected = (binding.get_process_triple(), binding.get_host_cpu_name(), flags.flatten(), dict(flags))
    for _ in range(2):
        found = kept()
        assert found is not None
        assert found[:4] == expected
        assert found.llvm == tuple(binding.llvm_version_info) == cpu.llvm_version()
    identity = cpu._identity()
    assert identity is not None
    monkeypatch.setattr(cpu, "_identity", lambda: [*identity[:-1], identity[-1] + " more"])
    kept()
    assert len(list((tmp_path / "im2col").glob("*.cpu"))) == 2
    monkeypatch.setattr(cpu, "_identity", lambda: None)
    assert kept() is None
    monkeypatch.undo()
    assert cpu.cpu()[:4] == expected


def test_what_is_kept_of_the_cpu_in_another_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, but not what is expected there: LLVM is asked, and its answer kept in that place."""
    here()
    if cpu._identity() is None:
        pytest.skip("this system does not say what its CPU is")
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    kept = cpu._kept.__wrapped__
    expected = kept()
    (path,) = (tmp_path / "im2col").glob("*.cpu")
    good = path.read_bytes()
    for other in (b"", b"{]", b"7", b"[1, 2]", b'["", "", "", 5, []]', b"\xff"):
        store.write(path.stem, other, store.CPU)
        assert kept() == expected
        assert path.read_bytes() == good


def test_a_process_with_another_cpu_than_its_system(tmp_path: Path) -> None:
    """What is kept for a CPU is not taken where a process has lesser ones of its instructions, as under Valgrind.

    Here the C library is asked not to see one: LLVM, which sees it, is asked again, as the system's word is the same.
    """
    here()
    if cpu._identity() is None:
        pytest.skip("this system does not say what its CPU is")
    loaded = []
    for tunables in ("", "", "glibc.cpu.hwcaps=-AVX2", "glibc.cpu.hwcaps=-AVX2", ""):
        done = subprocess.run(
            [sys.executable, "-c", CONVOLVES],
            cwd=REPOSITORY,
            env={
                "IM2COL_CACHE_DIR": str(tmp_path),
                "PATH": "",
                "PYTHONPATH": str(REPOSITORY / "src"),
                "GLIBC_TUNABLES": tunables,
            },
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
        )
        loaded.append(done.stdout.split()[0])
    assert loaded == ["True", "False", "True", "False", "False"]
