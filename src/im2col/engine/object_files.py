"""Object code put into memory without LLVM, whose library takes more than kernels that are kept: ELF files of x86-64.

A kernel's file has its code, its constants, and references from the one to the other; a few call the C library's
``memset``. What else may stand in such files is left to LLVM.
"""

from __future__ import annotations

import struct
import sys
from functools import cache
from typing import Any, NamedTuple

from ..importing import importing

_HEAD = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_REFERENCE = struct.Struct("<QQq")
_JUMP = struct.Struct("<6sQ")
"""To an address that follows it: code may lie further from the C library than a call reaches."""
_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, the lowest byte first
_RELOCATABLE, _X86_64 = 1, 62
_BITS, _SYMBOLS, _REFERENCES, _SHORT_REFERENCES, _UNWINDING = 1, 2, 4, 9, 0x70000001
_WRITABLE, _IN_MEMORY = 1, 2
_FROM_HERE = (2, 4)
"""Kinds of references, PC32 and PLT32: how far a place is from the one that is written."""
_KNOWN = (b"memset", b"memcpy", b"memmove")
_PAGE = 4096
_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE, _ANONYMOUS = 2, 0x20


class _Section(NamedTuple):
    """A section's header, in the order of the file."""

    name: int
    kind: int
    flags: int
    address: int
    start: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


def placed(code: bytes, name: str) -> int | None:
    """Return the address of a function of an object file, whose code stays for the process's life.

    Parameters
    ----------
    code : bytes
        An object file.
    name : str
        The function.

    Returns
    -------
    int or None
        None where it takes LLVM: on another system or CPU, or if the file has what kernels have not, or no such
        function, or is cut off or damaged, as far as that shows.
    """
    if sys.platform != "linux" or not code.startswith(_MAGIC):
        return None
    try:
        found = _image(code, name)
        base = None if found is None else _in_memory(found[0])
    except (struct.error, IndexError, ValueError, OverflowError, OSError):  # a damaged file; no C library to ask
        return None
    return None if found is None or base is None else base + found[1]


def _image(code: bytes, name: str) -> tuple[bytes, int] | None:
    """Return what is to be put into memory, and where the function lies in it."""
    _, kind, machine, _, _, _, table, _, _, _, _, size, count, _ = _HEAD.unpack_from(code)
    if (kind, machine, size) != (_RELOCATABLE, _X86_64, _SECTION.size):
        return None
    sections = [_Section(*_SECTION.unpack_from(code, table + i * size)) for i in range(count)]
    image = bytearray()
    places: dict[int, int] = {}
    for number, section in enumerate(sections):
        if section.flags & _IN_MEMORY and section.kind != _UNWINDING:
            if section.kind != _BITS or section.flags & _WRITABLE or section.alignment > _PAGE:
                return None
            if section.start + section.size > len(code):
                return None
            image += bytes(-len(image) % max(1, section.alignment))
            places[number] = len(image)
            image += code[section.start : section.start + section.size]
    symbols = _symbols(code, sections)
    part, offset = next(((part, value) for label, part, value in symbols if label == name.encode()), (0, 0))
    if part not in places or offset >= sections[part].size:
        return None
    if not _connect(image, code, sections, places, symbols):
        return None
    return bytes(image), places[part] + offset


def _symbols(code: bytes, sections: list[_Section]) -> list[tuple[bytes, int, int]]:
    """Return the name of each symbol, the number of its section, and where it lies there."""
    found = []
    for table in (section for section in sections if section.kind == _SYMBOLS):
        names = sections[table.link].start
        for at in range(table.start, table.start + table.size, _SYMBOL.size):
            label, _, _, part, value, _ = _SYMBOL.unpack_from(code, at)
            end = code.index(b"\0", names + label)
            found.append((code[names + label : end], part, value))
    return found


def _connect(
    image: bytearray,
    code: bytes,
    sections: list[_Section],
    places: dict[int, int],
    symbols: list[tuple[bytes, int, int]],
) -> bool:
    """Write all references into an image, and behind it jumps to the C library; return False where one is not known."""
    jumps: dict[bytes, int] = {}
    for table in (section for section in sections if section.info in places):
        if table.kind == _SHORT_REFERENCES:  # whose addends stand in the code; this CPU's files have none
            return False
        if table.kind != _REFERENCES:
            continue
        for at in range(table.start, table.start + table.size, _REFERENCE.size):
            where, info, addend = _REFERENCE.unpack_from(code, at)
            label, part, value = symbols[info >> 32]
            if part in places:
                to = places[part] + value
            elif part == 0 and label in _KNOWN:
                if label not in jumps:
                    jumps[label] = len(image)
                    image += _JUMP.pack(b"\xff\x25\0\0\0\0", _address_of(label.decode()))
                to = jumps[label]
            else:
                return False
            if info & 0xFFFFFFFF not in _FROM_HERE or where + 4 > sections[table.info].size:
                return False
            here = places[table.info] + where
            struct.pack_into("<i", image, here, to + addend - here)
    return True


@cache
def _library() -> Any:
    """Return the C library."""
    with importing:
        import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def _address_of(name: str) -> int:
    with importing:
        import ctypes

    return ctypes.cast(getattr(_library(), name), ctypes.c_void_p).value or 0


def _in_memory(image: bytes) -> int | None:
    """Return where an image lies that may be run, and not written any more; None where the system refuses."""
    with importing:
        import ctypes

    library, size = _library(), -(-len(image) // _PAGE) * _PAGE
    base = library.mmap(None, size, _READ | _WRITE, _PRIVATE | _ANONYMOUS, -1, 0)
    if base is None or base == ctypes.c_void_p(-1).value:
        return None
    ctypes.memmove(base, image, len(image))
    if library.mprotect(base, size, _READ | _EXECUTE) != 0:
        library.munmap(base, size)
        return None
    return int(base)
