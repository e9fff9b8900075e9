"""From IR to a function that Python can call: verified, optimised, kept, loaded.

The environment variable ``IM2COL_PRINT`` shows what is made on its way, on standard error: ``ir`` before the
optimiser, ``asm`` after it, or both with a comma.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArgumentError, EngineWarning
from ..importing import importing
from ..version import __version__
from .cpu import llvm_version
from .object_files import placed
from .target import Target, host

if TYPE_CHECKING:
    from collections.abc import Callable

_PIPELINE = {"vectorize": True}
"""How IR is optimised; a part of the cache's key."""
_lock = threading.RLock()
_loaded: dict[tuple[Kernel, Target | None], Callable[..., None]] = {}
"""By the CPU that was asked for; None where that was the host."""
_refused: dict[tuple[Kernel, Target | None], str] = {}
"""Why kernels cannot be compiled where others can."""
_state: dict[str, str] = {}


class Kernel(NamedTuple):
    """A kernel to be compiled: its name, how its IR is made, and what it is called with.

    Parameters
    ----------
    name : str
        Unique, and the name of the function in the IR.
    build : callable
        ``build(name, target, *parameters)`` returns IR text: a pure function.
    parameters : tuple
        What the kernel is specialised for; hashable.
    arguments : int
        How many arguments it takes, each a 64-bit integer or an address.
    speed_level : int
        How hard the optimiser tries. A kernel that is written in vectors throughout comes out the same at 1, in a
        third of the time.
    """

    name: str
    build: Callable[..., str]
    parameters: tuple[Any, ...]
    arguments: int
    speed_level: int = 3

    def ir(self, target: Target) -> str:
        """Return the kernel's IR for a target."""
        return self.build(self.name, target, *self.parameters)


class EngineError(RuntimeError):
    """A kernel cannot be compiled; the engine has warned."""


def required(kernel: Kernel, target: Target | None = None) -> Callable[..., None]:
    """Return a kernel as `load` does.

    Raises
    ------
    EngineError
        If the engine cannot be used, or not for this kernel.
    """
    function = load(kernel, target)
    if function is None:
        raise EngineError(kernel.name)
    return function


def load(kernel: Kernel, target: Target | None = None) -> Callable[..., None] | None:
    """Return a kernel as a function that releases the GIL while it runs, or None where it cannot be compiled.

    Parameters
    ----------
    kernel : Kernel
    target : Target, optional
        A CPU whose instructions this machine has, the host if left out.

    Returns
    -------
    callable or None
        Takes ``kernel.arguments`` Python ints. None after one `EngineWarning` a process where the engine cannot be
        used, and after another one where it can be, but not for some kernels.

    Raises
    ------
    ArgumentError
        If the environment names a CPU that this is not; see `host`.
    """
    key = kernel, target
    function = _loaded.get(key)
    if function is not None:
        return function
    with _lock:
        if "failure" in _state or key in _refused:
            return None
        try:
            return _made(*key)
        except ArgumentError:  # of the environment, which the user can mend
            raise
        except Exception as cause:
            if kernel != _TRIAL and _works(target):
                _refuse(key, cause)
            else:
                _give_up(cause)
            return None


def _made(kernel: Kernel, target: Target | None) -> Callable[..., None]:
    """Return a kernel as a function, compiled and loaded if it is not yet."""
    key = kernel, target
    if key not in _loaded:
        _loaded[key] = _made_anew(kernel, target)
    return _loaded[key]


def _made_anew(kernel: Kernel, target: Target | None) -> Callable[..., None]:
    cpu = host() if target is None else target
    return _link(kernel, object_code(kernel, cpu), cpu)


def loaded(kernel: Kernel) -> Callable[..., None] | None:
    """Return a kernel for the host that this process has loaded before, or None."""
    return _loaded.get((kernel, None))


def in_use() -> bool:
    """Whether this process has loaded a kernel: another one costs it a millisecond, and not the import of LLVM."""
    return bool(_loaded)


def failure() -> str | None:
    """Return why the engine cannot be used, or None as far as is known."""
    return _state.get("failure")


def condition() -> str | None:
    """Return what offers depend on besides their problem: why the engine cannot be used, or for how many kernels."""
    return _state.get("failure") or (f"{len(_refused)} kernels cannot be compiled" if _refused else None)


def refusal(kernels: Callable[[], tuple[Kernel, ...]], target: Target) -> str | None:
    """Return why one of some kernels cannot be compiled, or None as far as is known; which they are is rarely asked."""
    found = (_refused.get((kernel, target)) for kernel in (kernels() if _refused else ()))
    return next((why for why in found if why is not None), None)


def usable_target() -> Target | None:
    """Return the CPU that kernels are compiled for, if they can be loaded here, as a trial shows; else None."""
    return None if failure() is not None or load(_TRIAL) is None else host()


def _trial(name: str, target: Target) -> str:  # noqa: ARG001 (a kernel's arguments)
    with importing:
        from .builder import Builder

    return Builder(name, "").finish()


_TRIAL = Kernel("trial", _trial, (), 0)


def _works(target: Target | None) -> bool:
    """Whether the engine loads the trial now, whatever it could do before."""
    try:
        _made_anew(_TRIAL, target)
    except Exception:  # the cause that is told is that of the kernel that was asked for
        return False
    return True


def object_code(kernel: Kernel, target: Target) -> bytes:
    """Return a kernel's machine code as an object file, from the cache or compiled.

    Parameters
    ----------
    kernel : Kernel
    target : Target

    Returns
    -------
    bytes
    """
    with importing:
        import hashlib  # these take longer to import than small programs need them
        import marshal

        from . import cache as store

    show = {word.strip() for word in os.environ.get("IM2COL_PRINT", "").split(",")}
    versions = (*llvm_version(), sys.version_info[:2])
    # What the kernel is made from stands for its IR, which takes longer to write than the object file to read.
    enclosed = [cell.cell_contents for cell in kernel.build.__closure__ or ()]
    # Later versions write what others refer to in another way.
    source = marshal.dumps(_without_slices(kernel.build.__code__), 2)
    builder = source, enclosed, _source_digest(kernel.build.__module__)
    description = (kernel.name, kernel.parameters, kernel.speed_level, builder)
    material = repr((description, target, versions, _PIPELINE))
    key = hashlib.sha256(material.encode()).hexdigest()
    code = None if "asm" in show else store.read(key)
    if code is None or "ir" in show:
        ir = kernel.ir(target)
        if "ir" in show:
            sys.stderr.write(ir)
    if code is None:
        module, machine = _optimised(ir, target, kernel.speed_level)
        if "asm" in show:
            sys.stderr.write(machine.emit_assembly(module))
        code = machine.emit_object(module)
        store.write(key, code)
    return code


def _without_slices(constant: Any) -> Any:
    """Return code, or one of its constants, without the slices that Python 3.14 has there: version 2 writes none."""
    if isinstance(constant, slice):
        return "slice", constant.start, constant.stop, constant.step
    if isinstance(constant, tuple):
        return tuple(map(_without_slices, constant))
    if isinstance(constant, CodeType):
        return constant.replace(co_consts=tuple(map(_without_slices, constant.co_consts)))
    return constant


@cache
def _source_digest(module: str) -> str:
    """Return what stands in the cache's key for the source: of the engine, of what it rests on, of a kernel's room.

    No kernel outlives a change of what it is made from: a file imports from its own room and from those below.
    """
    with importing:
        from pathlib import Path

    home = Path(__file__).parent
    house, file = home.parent, Path(sys.modules[module].__file__ or __file__)
    # A kernel of the house may be made of anything in its room; one from elsewhere, of what lies beside it.
    room = house / file.relative_to(house).parts[0] if file.is_relative_to(house) else file.parent
    return " ".join([__version__, *map(_folder_digest, sorted({str(home), str(house / "spec"), str(room)}))])


@cache
def _folder_digest(folder: str) -> str:
    """Return the digest of all Python below a folder; with `pathlib` it takes three times as long."""
    with importing:
        import hashlib

    digest = hashlib.sha256()
    for path in sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names):  # noqa: PTH118
        if path.endswith(".py"):
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                digest.update(f"{path.removeprefix(folder)}\n".encode() + file.read())
    return digest.hexdigest()


def assembly(kernel: Kernel, target: Target) -> str:
    """Return a kernel's assembly for any target, to look at.

    Parameters
    ----------
    kernel : Kernel
    target : Target

    Returns
    -------
    str
    """
    module, machine = _optimised(kernel.ir(target), target, kernel.speed_level)
    return str(machine.emit_assembly(module))


@cache
def _llvm() -> Any:
    """Import llvmlite, which takes tens of milliseconds, when it is first needed."""
    with importing:
        import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def _optimised(ir: str, target: Target, speed_level: int) -> tuple[Any, Any]:
    """Parse, verify and optimise IR; return the module and the machine that emits code for it."""
    llvm = _llvm()
    if not target.triple.startswith(llvm.get_process_triple().split("-", maxsplit=1)[0]):
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(ir)
    module.triple = target.triple
    module.verify()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default"
    )
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=speed_level)
    options.loop_vectorization = options.slp_vectorization = _PIPELINE["vectorize"]
    # A tile that fills 16 registers has none for what LLVM's own unrolling carries from one turn to the next: by its
    # description of Zen 3, and of Alder Lake, it unrolls such loops twice, and sums go to the stack.
    options.loop_unrolling = speed_level > 1 or target.vector_registers > 16
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return module, machine


def _link(kernel: Kernel, code: bytes, target: Target) -> Callable[..., None]:
    address = placed(code, kernel.name) or _linked_by_llvm(kernel, code, target)
    with importing:
        import ctypes

    # Integers pass as addresses, too, and are converted in half the time.
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * kernel.arguments)
    return prototype(address)


def _linked_by_llvm(kernel: Kernel, code: bytes, target: Target) -> int:
    """Return the address of a kernel's code, which stays for the process's life."""
    llvm = _llvm()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(cpu=target.cpu, features=target.features)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address: int = engine.get_function_address(kernel.name)
    if not address:
        raise RuntimeError(f"the object code of {kernel.name} does not define it")
    engine.detach()  # at its end llvmlite may be gone before what it would free
    return address


def _give_up(cause: Exception) -> None:
    _state["failure"] = f"{type(cause).__name__}: {cause}"
    warnings.warn(
        f"im2col's engine cannot be used ({_state['failure']}); NumPy does its work, with the same results but slower. "
        "Installing or repairing llvmlite brings it back",
        EngineWarning,
        stacklevel=3,
    )


def _refuse(key: tuple[Kernel, Target | None], cause: Exception) -> None:
    first = not _refused
    _refused[key] = f"{type(cause).__name__}: {cause}"
    if first:
        warnings.warn(
            f"im2col's engine cannot compile its kernel {key[0].name} ({_refused[key]}); other algorithms do its work, "
            "slower. All other kernels are used; another version of llvmlite may compile it",
            EngineWarning,
            stacklevel=3,
        )


def _reset() -> None:
    """Forget what was loaded and what failed; for tests."""
    with _lock:
        _loaded.clear()
        _refused.clear()
        _state.clear()


def _acquire_lock() -> None:
    _lock.acquire()


def _release_lock() -> None:
    _lock.release()


def _forget_lock() -> None:
    """Give a forked child a lock that no thread of its parent holds."""
    global _lock  # noqa: PLW0603 (the child's own)
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    # A fork waits for a compilation to end: the child would inherit LLVM's own locks as they are.
    os.register_at_fork(before=_acquire_lock, after_in_parent=_release_lock, after_in_child=_forget_lock)
