"""Names of dimensions: which of them windows slide along, which are channels, and what each argument says of each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

from ...errors import ArgumentError, LayoutError, ShapeError, shown
from ...spec import layout as layouts
from ...spec.arguments import integer, is_a, is_sequence, plain
from ...spec.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Names = tuple[Hashable, ...]

FILTER = "filter"
"""The dimension of a result's maps, if nobody names another one."""


class Bank(NamedTuple):
    """Filters, and the names of their axes.

    Parameters
    ----------
    w : ndarray, (n, C/groups, *kernel)
        The kernel's axes in the order of `windows`.
    windows : tuple of hashable
        Along which the window slides.
    channels : hashable or None
        The dimension that filters sum over; None where each filter reads every slice of the image by itself.
    filters : hashable or None
        The result's dimension of n maps; None where it has none.
    coords : xarray.Coordinates or None
        Of that dimension.
    labels : pandas.Index or None
        Of the channels that they read, if those have names.
    """

    w: Array
    windows: Names
    channels: Hashable | None
    filters: Hashable | None
    coords: Any = None
    labels: Any = None

    def check_labels(self, x: Any, name: str) -> None:
        """Refuse an array whose channels are others, or stand in another order.

        Raises
        ------
        ArgumentError
        """
        own = None if self.labels is None else x.indexes.get(self.channels)
        if own is not None and len(own) == len(self.labels) and not own.equals(self.labels):
            dim = shown(self.channels)
            raise ArgumentError(
                f"w has other labels along {dim} than {name}, or in another order; put them in one order, as in "
                f"w.sel({{{dim}: {name}[{dim}]}}), or leave them out, as in w.drop_vars({dim})"
            )


class Laid(NamedTuple):
    """How the dimensions of one array are the axes of an image.

    Parameters
    ----------
    batch : tuple of hashable
        Those that are one axis, in front.
    axes : tuple of hashable
        All others, in the order of the array; channels that it lacks are None.
    windows : tuple of hashable
        Those of them that windows slide along.
    order : tuple of int
        Where these stand in the arguments.
    layout : str
        Of the image.
    letters : str
        Of its spatial axes.
    """

    batch: Names
    axes: Names
    windows: Names
    order: tuple[int, ...]
    layout: str
    letters: str

    def given(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return values for each window's dimension in the order of the array."""
        return tuple(values[i] for i in self.order)


def laid(dims: Names, windows: Names, channels: Hashable | None = None, *, lacks_channels: bool = False) -> Laid:
    """Return how the dimensions of an array are those of an image; channels that it lacks stand before the windows."""
    order = tuple(sorted(range(len(windows)), key=lambda i: dims.index(windows[i])))
    along = tuple(windows[i] for i in order)
    letters = letters_of(along)
    batch = tuple(dim for dim in dims if dim not in windows and dim != channels)
    axes = [dim for dim in dims if dim not in batch]
    letter = dict(zip(along, letters, strict=True))
    if lacks_channels:
        axes.insert(0, None)
    layout = layouts.BATCH * bool(batch) + "".join(letter.get(dim, layouts.CHANNEL) for dim in axes)
    return Laid(batch, tuple(axes), along, order, layout, letters)


def letters_of(dims: Iterable[Hashable]) -> str:
    """Return a letter of a layout for each dimension, its own first one where that is free: errors show them.

    Raises
    ------
    LayoutError
        If there are more dimensions than letters.

    Examples
    --------
    >>> letters_of(("time", "y", "x", "channel", "xx"))
    'TYXAB'
    """
    letters, found = sorted(layouts.SPATIAL_LETTERS), list[str]()
    for dim in dims:
        wanted = (str(dim)[:1].upper(), *letters)
        free = [letter for letter in wanted if letter in letters and letter not in found]
        if not free:
            raise LayoutError(f"at most {len(letters)} dimensions can be told apart; work on slices along the others")
        found.append(free[0])
    return "".join(found)


def by_dimension(name: str, value: Any, windows: Names, default: Any) -> Any:
    """Return what an argument says of each dimension, in their order; what is no mapping is returned as it is.

    Parameters
    ----------
    name : str
        The argument, which an error names.
    value : object
        The user's: a value for all of them, a sequence, or a mapping by their names.
    windows : tuple of hashable
    default
        What it says of those that a mapping leaves out.

    Raises
    ------
    ArgumentError
        If a mapping has another name.
    """
    if not is_a(value, Mapping):
        return value
    said = dict(value)
    for dim in said:
        if dim not in windows:
            raise ArgumentError(
                f"{name} has a value for {shown(dim)} but windows slide along {shown(windows)}; give values for those"
            )
    return tuple(said.get(dim, default) for dim in windows)


def reordered(value: Any, at: Laid) -> Any:
    """Return an argument for each window's dimension in the order of the array; one for all of them as it is."""
    if is_sequence(value) and len(plain(value)) == len(at.order):
        return at.given(plain(value))
    return value


def windows_of(dims: Any, known: Names, argument: str = "dims") -> Names:
    """Return the dimensions that an argument names.

    Raises
    ------
    ArgumentError
        If they are none, one of them is twice there, or not a dimension of the image.
    """
    found: Names = tuple(plain(dims)) if is_a(dims, (list, tuple)) else (dims,)
    if not found or not all(is_a(dim, Hashable) for dim in found) or len(set(found)) < len(found):
        raise ArgumentError(f"{argument} must name dimensions of x, each once, got {shown(dims)}")
    for dim in found:
        if dim not in known:
            raise ArgumentError(f"{argument} has {shown(dim)} but the dimensions of x are {shown(known)}; name those")
    return found


def bank_of(
    w: Any, known: Names, dims: Any, channels: Hashable | None, filters: Hashable | None, groups: object
) -> Bank:
    """Return filters with the names of their axes: a DataArray has them, of other arrays arguments tell them.

    Parameters
    ----------
    w, dims, channels, filters, groups
        As for `conv`.
    known : tuple of hashable
        The dimensions of the image.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
    """
    if channels is not None:
        windows_of((channels,), known, "channels")
    bank = _labelled(w, known, dims, channels, filters) if is_a(w, xr.DataArray) else None
    if bank is None:
        bank = _plain(as_array("w", w), known, dims, channels, filters)
        apart = (
            bank.channels is not None and bank.w.shape[1] == 1 and len(bank.w) == integer("groups", groups, minimum=1)
        )
        if filters is None and apart:  # of each channel a map
            bank = bank._replace(filters=channels)
    taken = [dim for dim in known if dim != bank.channels]
    if bank.filters is not None and bank.filters in taken:
        raise ArgumentError(
            f"filters={shown(bank.filters)} is a dimension of x; give another name to that of the result's maps"
        )
    return bank


def _plain(w: Array, known: Names, dims: Any, channels: Hashable | None, filters: Hashable | None) -> Bank:
    """Return filters without names."""
    if dims is None:
        raise ArgumentError(
            f"dims must name a dimension of x, {shown(known)}, for each axis of the kernel; or pass w as a DataArray "
            "with such dimensions"
        )
    windows = windows_of(dims, known)
    k = len(windows)
    if w.ndim == k and channels is None and filters is None:
        return Bank(w[None, None], windows, None, None)
    if w.ndim != k + 2:
        plainly = "" if channels is not None or filters is not None else f"a plain kernel of {k} axes, or "
        raise ShapeError(
            f"w must be {plainly}(filters, channels/groups, *kernel), {k + 2} axes, for dims={shown(windows)}; got w "
            f"of shape {w.shape}"
        )
    if channels is None and w.shape[1] != 1:
        raise ShapeError(
            f"w of shape {w.shape} reads {w.shape[1]} channels; name the dimension of x that has them with channels="
        )
    return Bank(w, windows, channels, FILTER if filters is None else filters)


def _labelled(w: Any, known: Names, dims: Any, channels: Hashable | None, filters: Hashable | None) -> Bank:
    """Return filters whose dimensions have the names of those of the image, but for the one of the maps."""
    own = tuple(dim for dim in w.dims if dim not in known or dim == filters)
    shared = tuple(dim for dim in w.dims if dim not in own)
    if dims is None:
        windows = tuple(dim for dim in shared if dim != channels)
    else:
        windows = windows_of(dims, known)
        left = [dim for dim in shared if dim not in windows]
        if channels is None and len(left) == 1:
            channels = left[0]
    read = windows if channels is None else (channels, *windows)
    if len(own) > 1 or not windows or set(read) != set(shared) or (filters is not None and own != (filters,)):
        raise ArgumentError(
            f"w has the dimensions {shown(w.dims)}, x {shown(known)}; w must have those that windows slide along "
            "(dims), that of the channels if it sums over them (channels), and at most one that x lacks (filters); or "
            "pass w.values, and dims"
        )
    array = as_array("w", w.transpose(*own, *read))
    if channels is None:
        array = array.reshape(*array.shape[: len(own)], 1, *array.shape[len(own) :])
    coords = w.coords.to_dataset()
    coords = coords.drop_vars([name for name, each in coords.variables.items() if each.dims != own]).coords
    labels = None if channels is None else w.indexes.get(channels)
    name = own[0] if own else None
    return Bank(array if own else array[None], windows, channels, name, coords if own else None, labels)
