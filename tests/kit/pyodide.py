"""A Pyodide with NumPy, put together from npm's packages: nothing else of it can be had but from its own servers.

``npm install`` brings the parts, as `.ci/run` does. The newest Pyodide whose NumPy npm has is 0.25.1 (Python 3.11);
that NumPy, 2.1.1, was built by emscripten-forge.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import threadpoolctl

from .outcomes import missing

FOLDER = Path(__file__).parents[2] / ".pyodide/node_modules"
NUMPY = "@emscripten-forge/numpy/pkg/numpy-2.1.1-py311hc8e14bb_0.tar.gz"
NUMPY_DIGEST = "2635fb89d704c894154cb2c6677382c846f34bb474b43f526788ac1e41a9facc"


def part(name: str) -> Path:
    """Return a file or folder of npm's packages; see `missing` for when it is not installed."""
    path = FOLDER / name
    if not path.exists():
        missing(f"npm's {name} is not installed in .pyodide")
    return path


def _section(number: int, content: bytes) -> bytes:
    return bytes([number, len(content)]) + content


def no_backtrace() -> bytes:
    """Return a library of WebAssembly with the function ``backtrace(addresses, most) -> 0``.

    That NumPy asks for the callers of a sum of 256 KB and more, to write into an operand that nobody else knows, and
    Pyodide 0.25 has no such function. With none found, NumPy takes new memory, as it does on other systems.
    """
    named = b"\x09backtrace"
    two_numbers_to_one = b"\x01\x60\x02\x7f\x7f\x01\x7f"
    returns_0 = b"\x01\x04\x00\x41\x00\x0b"
    return b"\0asm\1\0\0\0" + b"".join(
        _section(number, content)
        for number, content in [
            (0, b"\x08dylink.0\x01\x04\0\0\0\0"),
            (1, two_numbers_to_one),
            (3, b"\x01\x00"),
            (7, b"\x01" + named + b"\0\0"),
            (10, returns_0),
        ]
    )


def make_pyodide(folder: Path) -> None:
    """Write a Pyodide that knows NumPy into a new folder, as its servers have one.

    Parameters
    ----------
    folder : Path
        Receives what `loadPyodide` and `loadPackage` ask for.
    """
    core, archive = part("pyodide"), part(NUMPY)
    content = archive.read_bytes()
    assert hashlib.sha256(content).hexdigest() == NUMPY_DIGEST
    shutil.copytree(core, folder)
    lock = json.loads((folder / "pyodide-lock.json").read_text("utf-8"))

    def add(name: str, **entry: object) -> None:
        digest = hashlib.sha256((folder / str(entry["file_name"])).read_bytes()).hexdigest()
        common = {"name": name, "imports": [], "depends": [], "unvendored_tests": False, "sha256": digest}
        lock["packages"][name] = common | entry

    wheel, library, limits = "numpy-2.1.1-cp311-cp311-emscripten_3_1_46_wasm32.whl", "backtrace-1.zip", "limits-1.zip"
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as packed,
        zipfile.ZipFile(folder / wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as unpacked,
    ):
        for member in packed:
            _, found, name = member.name.partition("/site-packages/")
            if found and member.isfile() and "/tests/" not in name:
                file = packed.extractfile(member)
                assert file is not None
                unpacked.writestr(name, file.read())
    with zipfile.ZipFile(folder / library, "w") as unpacked:
        unpacked.writestr("libbacktrace.so", no_backtrace())
    with zipfile.ZipFile(folder / limits, "w") as unpacked:
        unpacked.write(str(threadpoolctl.__file__), "threadpoolctl.py")
    library_kind = {"package_type": "shared_library", "shared_library": True, "install_dir": "dynlib"}
    python_kind = {"package_type": "package", "shared_library": False, "install_dir": "site"}
    add("backtrace", version="1", file_name=library, **library_kind)
    add("numpy", version="2.1.1", file_name=wheel, depends=["backtrace"], **python_kind)
    add("threadpoolctl", version=threadpoolctl.__version__, file_name=limits, **python_kind)
    (folder / "pyodide-lock.json").write_text(json.dumps(lock), "utf-8")
