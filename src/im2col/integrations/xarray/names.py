"""Names of dimensions: which of them windows slide along, which are channels, and what each argument says of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

from ...errors import ArgumentError, LayoutError, ShapeError, shown
from ...spec import layout as layouts
from ...spec.arguments import integer, is_a, is_sequence, plain
from ...spec.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

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

    def check(self, x: Any) -> None:
        """Refuse an image whose channels are others, or stand in another order, or that has names of the maps.

        Raises
        ------
        ArgumentError
        """
        if self.labels is not None:
            _check_labels("w", self.labels, self.channels, "x", x.indexes.get(self.channels))
        kind = None if self.filters in (None, self.channels) else kind_of(self.filters, x, self.channels)
        if kind:
            raise ArgumentError(
                f"filters={shown(self.filters)} is {kind} of x; give another name to that of the result's maps"
            )
        for name in () if self.coords is None else self.coords:
            kind = kind_of(name, x, self.channels)
            if kind:
                raise ArgumentError(
                    f"w has the coordinate {shown(name)}, which is {kind} of x; leave it out, as in "
                    f"w.drop_vars({shown(name)})"
                )

    def terms(self, bias: Any, x: Any) -> Array:
        """Return a number for each map.

        Raises
        ------
        ArgumentError, DTypeError
        """
        if is_a(bias, xr.DataArray) and self.filters is not None:
            dim = shown(self.filters)
            if bias.dims != (self.filters,):
                raise ArgumentError(
                    f"bias has the dimensions {shown(bias.dims)} but the result's maps lie along {dim}; name its "
                    "dimension so, or pass bias.values"
                )
            other, holder = ("x", x) if self.filters == self.channels else ("w", self.coords)
            theirs = None if holder is None else holder.indexes.get(self.filters)
            _check_labels("bias", bias.indexes.get(self.filters), self.filters, other, theirs)
        return as_array("bias", bias)


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


def _check_labels(name: str, labels: Any, dim: Hashable | None, other: str, theirs: Any) -> None:
    """Refuse an argument whose labels along a dimension are not those of another one, as far as both have some.

    Raises
    ------
    ArgumentError
    """
    if labels is None or theirs is None or len(labels) != len(theirs) or labels.equals(theirs):
        return
    at = shown(dim)
    raise ArgumentError(
        f"{name} has other labels along {at} than {other}, or in another order; put them in one order, as in "
        f"{name}.sel({{{at}: {other}[{at}]}}), or leave them out, as in {name}.drop_vars({at})"
    )


def kind_of(name: Hashable, x: Any, dropped: Hashable | None = None) -> str | None:
    """Return what an image has of a name, in words; None if nothing, or what goes with a dimension that is dropped.

    Examples
    --------
    >>> x = xr.DataArray([1, 2], dims="t", coords={"run": 7})
    >>> kind_of("t", x), kind_of("run", x), kind_of("filter", x)
    ('a dimension', 'a coordinate', None)
    """
    if name in x.dims:
        return "a dimension"
    if name in x.coords:
        return "a coordinate" if dropped not in x.coords[name].dims else None
    return "an array" if is_a(x, xr.Dataset) and name in x.data_vars else None


def is_name(value: object) -> bool:
    """Whether a dimension may be called so."""
    try:
        hash(value)
    except Exception:  # an object's own error
        return False
    return value is not None


def laid(dims: Names, windows: Names, channels: Hashable | None = None, *, lacks_channels: bool = False) -> Laid:
    """Return how the dimensions of an array are those of an image; channels that it lacks stand before the windows.

    Raises
    ------
    ArgumentError
        If dimensions have no names, or one twice.
    LayoutError
        If windows slide along more than there are letters.
    """
    if len(set(dims)) < len(dims) or None in dims:
        raise ArgumentError(
            f"each dimension of x must have a name of its own, got {shown(dims)}; name them anew, as in "
            "xarray.DataArray(x.values, dims=('y', 'x'))"
        )
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
    if not found or not all(map(is_name, found)) or len(set(found)) < len(found):
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
        if dims is not None and channels in windows_of(dims, known):
            raise ArgumentError(
                f"channels={shown(channels)} is one of dims={shown(dims)}; leave it out of those, or name the one that "
                "filters sum over"
            )
    if filters is not None and not is_name(filters):
        raise ArgumentError(f"filters must name a dimension, got {shown(filters)}; pass a name, as in 'edge'")
    bank = _labelled(w, known, dims, channels, filters) if is_a(w, xr.DataArray) else None
    if bank is None:
        bank = _plain(as_array("w", w), known, dims, channels, filters)
        apart = (
            bank.channels is not None and bank.w.shape[1] == 1 and len(bank.w) == integer("groups", groups, minimum=1)
        )
        if filters is None and apart:  # of each channel a map
            bank = bank._replace(filters=channels)
    if bank.channels is None and integer("groups", groups, minimum=1) > 1:
        raise ArgumentError(
            f"groups={shown(groups)} divide channels; name the dimension of x that has them with channels="
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
