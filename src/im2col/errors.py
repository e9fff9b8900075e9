"""The errors and warnings of the package.

Every error derives from `Im2colError` and from the built-in exception that a NumPy user would
expect, so both ``except Im2colError`` and ``except ValueError`` work::

    Im2colError
    ├── ArgumentError      (ValueError)   an option has a value outside its list or range
    │   └── LayoutError                   an axis string is malformed or does not fit the array
    ├── GeometryError      (ValueError)   the window does not fit the image
    ├── ShapeError         (ValueError)   two arrays do not fit each other
    ├── OutputError        (ValueError)   `out` cannot take the result
    ├── DTypeError         (TypeError)    an array's dtype or kind cannot be used
    ├── MemoryBudgetError  (MemoryError)  the result would not fit the memory that is available
    ├── MissingExtraError  (ImportError)  an optional dependency is not installed
    └── FileError          (ValueError)   a file cannot be read or written as asked
        └── PhotoError                    an image file holds no photograph, or cannot hold this one

    EngineWarning          (RuntimeWarning)  the engine cannot be used; NumPy does the work

A message names the operation, the rule, the values received and the way out, and it is raised
before anything is allocated or written. Whoever raises it says what is wrong; the public function
that it leaves first puts its own name before that: it is `named`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_MOST_BITS = 128
"""Of an integer that a message shows in digits."""
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__


class Im2colError(Exception):
    """Base class of every error that the package raises on purpose.

    Attributes
    ----------
    operation : str or None
        The public function that the error left first, which its message begins with.
    """

    operation: str | None = None

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # ImportError would tell what it was first given

    def __reduce__(self) -> tuple[Any, ...]:
        # What carries errors between processes (tblib, for distributed) would make some by `MemoryError.__new__`.
        return type(self), self.args, vars(self)

    @property
    def message(self) -> str:
        """What is wrong, without the operation's name."""
        return str(self).removeprefix(f"{self.operation}: ")

    def name_operation(self, operation: str | None) -> None:
        """Put the name of an operation in front of the message, unless there is one already."""
        if operation and not self.operation:
            self.operation = operation
            self.args = (f"{operation}: {self}",)


class ArgumentError(Im2colError, ValueError):
    """An option has a value outside its list or range."""


class LayoutError(ArgumentError):
    """An axis string is malformed, or does not fit the array."""


class GeometryError(Im2colError, ValueError):
    """The window does not fit the image, or a window argument is out of range."""


class ShapeError(Im2colError, ValueError):
    """Two arrays do not fit each other."""


class OutputError(Im2colError, ValueError):
    """`out` has the wrong shape, dtype or memory for the result."""


class DTypeError(Im2colError, TypeError):
    """An array has a dtype or a kind that the operation cannot use."""


class MemoryBudgetError(Im2colError, MemoryError):
    """The result would not fit the memory that is really available."""


class MissingExtraError(Im2colError, ImportError):
    """An optional dependency is not installed."""


class FileError(Im2colError, ValueError):
    """A file cannot be read or written as asked."""


class PhotoError(FileError):
    """An image file holds no photograph that can be read, or its format cannot hold the one to be written."""


class EngineWarning(RuntimeWarning):
    """The engine cannot be used on this machine; NumPy does its work."""


def shown(value: object, longest: int = 200) -> str:
    """Return a value that a user passed as a message shows it, whatever it is.

    Parameters
    ----------
    value : object
    longest : int
        Characters that are shown.

    Returns
    -------
    str
        What ``repr`` says, without the middle of what is long; the length of a long integer; the type's name where an
        object says nothing.

    Examples
    --------
    >>> shown("same"), shown(2**2000), len(shown("x" * 10**6))
    ("'same'", 'an integer of 2001 bits', 203)
    """
    try:
        bits = int.bit_length(value) if issubclass(type(value), int) else 0  # type: ignore[arg-type]  # it is an int
        if bits > _MOST_BITS:
            return f"an integer of {bits} bits"
        return shortened(repr(value), longest)
    except Exception:  # an object's own error
        return f"<{class_of(value)}>"


def shortened(text: str, longest: int = 200) -> str:
    r"""Return what somebody else says as a message quotes it: in one line that any file takes, without a long middle.

    Examples
    --------
    >>> shortened("no\n  such thing"), len(shortened("x" * 10**6))
    ('no such thing', 203)
    """
    half = longest // 2
    if len(text) > longest + 3:
        text = f"{text[:half]}...{text[-half:]}"
    line = " ".join(each.strip() for each in text.splitlines())
    return line.encode("utf-8", "backslashreplace").decode()  # of surrogates, which are no text


def words_of(cause: Exception) -> str:
    """Return what an error says, `shortened`, or its class where it cannot say."""
    try:
        return shortened(str(cause), 400)
    except Exception:
        return class_of(cause)


def class_of(value: object) -> str:
    """Return the name of a value's class, whatever the class itself answers."""
    return shortened(_name_of(type(value)))


def format_bytes(nbytes: float) -> str:
    """Return a byte count for people, in binary units.

    Examples
    --------
    >>> format_bytes(512), format_bytes(1536), format_bytes(3 << 30), format_bytes(1 << 2000)
    ('512 B', '1.5 KiB', '3.0 GiB', '2**2000 B')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    if nbytes >= 1 << 80:  # there are no units for it, nor does every float hold it
        return f"2**{int(nbytes).bit_length() - 1} B"
    size, unit = float(nbytes), 0
    while size >= 1024 and unit < len(units) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} B" if unit == 0 else f"{size:.1f} {units[unit]}"


class naming:  # noqa: N801 (it is read as a statement, and as a decorator)
    """Let errors that leave a block, or a function, name the operation, unless they name one already.

    Parameters
    ----------
    operation : str or None
        None names none.

    Examples
    --------
    >>> with naming("pool"):
    ...     raise GeometryError("size must be at least 1, got 0")
    Traceback (most recent call last):
    im2col.errors.GeometryError: pool: size must be at least 1, got 0
    """

    def __init__(self, operation: str | None) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Im2colError):
            error.name_operation(self._operation)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function with its whole body as the block; where nothing is wrong that costs nothing."""

        @wraps(function)
        def public(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Im2colError as error:
                error.name_operation(self._operation)
                raise

        return public


def named(function: Callable[P, R]) -> Callable[P, R]:
    """Let errors that leave a public function name it, unless a public function that it called has named them."""
    return naming(function.__name__)(function)
