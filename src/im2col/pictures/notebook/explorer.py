"""The explorer as a widget: its page in a cell's output, its chapter and selection as traits of Python."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...errors import ArgumentError, GeometryError, naming, shown
from ...spec.arguments import integer
from ..plane import Selection
from ..story import chapters

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = Selection._fields


class _Chapter(traitlets.Unicode):  # type: ignore[misc]  # traitlets has no types here
    """The name of a chapter. A trait judges what it is given at once; validators wait where notifications are held."""

    def validate(self, obj: Any, value: Any) -> str:
        name = super().validate(obj, value)
        with naming("Explorer"):
            if name not in chapters():
                raise ArgumentError(f"chapter must be one of {tuple(chapters())}, got {shown(name)}")
        return str(name)


class _Selected(traitlets.Dict):  # type: ignore[misc]  # as above
    """A selection: what is left out is None, but for the image and the filter, which stay."""

    def validate(self, obj: Any, value: Any) -> dict[str, int | None]:
        given = super().validate(obj, value)
        before = obj.selection if obj.trait_has_value(self.name) else {}
        with naming("Explorer"):
            for name in given:
                if name not in _NAMES:
                    raise ArgumentError(f"a selection has {', '.join(_NAMES)}, not {shown(name)}; leave it out")
            whole = {"image": before.get("image", 0), "filter": before.get("filter"), **given}
            return {name: _number(name, whole.get(name)) for name in _NAMES}


class Explorer(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget is checked where it is installed
    """The explorer in a notebook: it shows itself as the last line of a cell.

    Made by `Illustration.live`.

    Attributes
    ----------
    chapter : str
        The one that is seen; to set it turns the page to it.
    selection : dict of str to (int or None)
        What is selected, by ``"image"``, ``"position"``, ``"tap"``, ``"filter"`` and ``"pixel"``, all from 0: an output
        cell has a position and a filter, a row of the matrix a position, a column a tap, a filter's element a tap and a
        filter, a pixel its number. To set it selects on the page. Names that are left out are None, but for the image
        and the filter, which stay. Where there is no such thing, the page stays as it is and the trait goes back.
    """

    _esm = (files(__package__) / "widget.js").read_text("utf-8")
    title = traitlets.Unicode().tag(sync=True)
    page = traitlets.Unicode().tag(sync=True)
    chapter = _Chapter().tag(sync=True)
    selection = _Selected().tag(sync=True)

    def __init__(
        self, *, title: str, page: str, chapter: str, selection: Selection, picture: Callable[[], str]
    ) -> None:
        self._picture = picture
        super().__init__(title=title, page=page, chapter=chapter, selection=selection._asdict())

    def __repr__(self) -> str:
        return f"<Explorer {self.chapter!r}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return what a notebook shows: the widget, and the picture where there is nobody to run it."""
        found = super()._repr_mimebundle_(**options)
        data, metadata = found if isinstance(found, tuple) else (found, {})
        return {**data, "text/html": self._picture()}, metadata


def _number(name: str, value: object) -> int | None:
    """Return a number from 0, or None, which an image is not."""
    if value is None and name != "image":
        return None
    try:
        return integer(name, value, 0, "an integer" if name == "image" else "an integer or None")
    except GeometryError as cause:  # the window's word for a wrong number
        raise ArgumentError(str(cause)) from None
