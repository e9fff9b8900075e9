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
    └── PhotoError         (ValueError)   an image or array file cannot be read or written as asked

    EngineWarning          (RuntimeWarning)  the engine cannot be used; NumPy does the work

A message names the operation, the rule, the values received and the way out, and it is raised
before anything is allocated or written.
"""


class Im2colError(Exception):
    """Base class of every error that the package raises on purpose."""


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


class PhotoError(Im2colError, ValueError):
    """An image or array file cannot be read or written as asked."""


class EngineWarning(RuntimeWarning):
    """The engine cannot be used on this machine; NumPy does its work."""
