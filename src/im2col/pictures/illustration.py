"""`illustrate`: the pictures of a convolution, for a notebook, a file, a terminal or a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..errors import ArgumentError, FileError, GeometryError, MissingExtraError, named, naming, shown
from ..importing import importing
from ..spec.arguments import check_choice, flag, integer, word

# What draws is imported when something is drawn: importing the package takes milliseconds.
if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import ArrayLike

    from ..matrix.frame import Orientation
    from ..spec.geometry import Window
    from ..spec.layout import TapOrder
    from ..spec.padding import Padding, PaddingMode
    from .colours import Colours
    from .labels import Labels
    from .notebook.explorer import Explorer
    from .pictured_layer import PicturedLayer
    from .plane import Selection
    from .scene import Scene

ENDINGS = (".svg", ".png", ".gif", ".html")
_LONGEST_STEM = 200
"""Characters of a file's name, without its ending, that a message repeats: file systems take some 255."""
MOST_FRAMES = 64
"""Steps that an animation may have: 256 of a small layer would be a file of 5 to 16 MB."""


class Illustration:
    """A picture of one chapter: it shows itself in notebooks, saves itself, and prints itself in a terminal.

    `illustrate` makes it.

    Attributes
    ----------
    scene : Scene
        What the picture shows, as plain data: ``scene.to_json()``.
    """

    def __init__(
        self,
        layer: PicturedLayer,
        chapter: str,
        selection: Selection,
        *,
        channel: int,
        labels: Labels,
        colours: Colours,
        lang: str,
        animated: bool,
    ) -> None:
        with importing:
            from .story import make_scene

        self._layer = layer
        self._selection = selection
        self._options: dict[str, Any] = {"channel": channel, "labels": labels}
        self._colours: Colours = colours
        self._lang = lang
        self._animated = animated
        self.scene: Scene = make_scene(layer, chapter, selection, **self._options)

    def __repr__(self) -> str:
        return f"<Illustration {self.scene.chapter!r} of {self._layer.image.shape} by {self._layer.weights.shape}>"

    @naming("illustrate")
    def _repr_svg_(self) -> str:
        """Return the picture as SVG, which notebooks show."""
        with importing:
            from .svg import animate, draw

        if self._animated:
            return animate(self._frames(), lang=self._lang, colours=self._colours)
        return draw(self.scene, lang=self._lang, colours=self._colours)

    @naming("illustrate")
    def _repr_html_(self) -> str:
        """Return the picture as SVG in HTML, on dark paper where the notebook is dark."""
        with importing:
            from .notebook import figure_html

        return figure_html(self._repr_svg_())

    @naming("illustrate")
    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write the picture to a file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Its ending names the format: ``.svg``; ``.png``, twice as large in pixels; ``.gif``, which steps through all
            positions, at most 64; ``.html``, the explorer, an interactive page that needs no network.
        force : bool
            Replace a file that exists.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        FileError
            If the ending is another one, the file exists and `force` is false, or it cannot be written.
        ArgumentError
            If an animation would have too many steps, or the page cannot hold the numbers.
        MissingExtraError
            If Pillow or resvg is not installed.
        """
        with importing:
            from pathlib import Path

            from ..files import check_target, replacing

        try:
            target = Path(path)
        except Exception as cause:
            raise FileError(
                f"path must be a str or a path object, got {shown(path)}; pass one such as 'x.svg'"
            ) from cause
        force = flag("force", force)
        ending = target.suffix.lower()
        if ending not in ENDINGS:
            told = target.stem.isprintable() and 0 < len(target.stem) <= _LONGEST_STEM
            stem = target.stem if told else "picture"
            raise FileError(
                f"the ending {shown(target.suffix)} of {shown(str(path))} means no picture that is written here; use "
                f"one of {', '.join(ENDINGS)}, as in {stem}.svg"
            )
        check_target(target, force=force)
        content = self._content(ending)
        with replacing(target, force=force) as file:
            file.write(content)
        return target

    @named
    def show(self, file: TextIO | None = None, width: int | None = None) -> None:
        """Print the picture in a terminal.

        Parameters
        ----------
        file : text file, optional
            ``sys.stdout`` if left out. Colours are used where it is a terminal and ``NO_COLOR`` is not set.
        width : int, optional
            Characters in a line; the terminal's if left out.

        Raises
        ------
        ArgumentError
            If `file` takes no text, or `width` is no integer of at least 1.
        MissingExtraError
            If rich is not installed.
        """
        with importing:
            from .terminal import show_scene

        show_scene(self.scene, self._lang, file=file, width=width)

    @named
    def live(self) -> Explorer:
        """Return the explorer as a widget, for a notebook: its chapter and its selection can be read and set.

        Returns
        -------
        Explorer
            ``explorer.chapter`` and ``explorer.selection`` are traits: they say what is seen, setting them turns the
            page, and ``explorer.observe(function, "selection")`` calls back when somebody selects something else. In a
            notebook that was exported without its widgets it is the picture.

        Raises
        ------
        ArgumentError
            If the page cannot hold the numbers.
        MissingExtraError
            If anywidget is not installed.
        """
        try:
            with importing:
                from .notebook.explorer import Explorer
                from .text import dictionary
        except ImportError as cause:
            raise MissingExtraError("this needs anywidget; install it with pip install 'im2col[notebook]'") from cause
        return Explorer(
            title=dictionary(self._lang)["title"],
            page=self._page(framed=True),
            chapter=self.scene.chapter,
            selection=self._selection,
            picture=self._repr_html_,
        )

    def _page(self, *, framed: bool) -> str:
        """Return the explorer's page."""
        with importing:
            from .page import page_html

        return page_html(
            self._layer,
            chapter=self.scene.chapter,
            selection=self._selection,
            lang=self._lang,
            framed=framed,
            **self._options,
        )

    def _content(self, ending: str) -> bytes:
        if ending == ".svg":
            return self._repr_svg_().encode()
        if ending == ".html":
            return self._page(framed=False).encode()
        with importing:
            from .raster import frames_to_gif, svg_to_png
            from .svg import draw

        if ending == ".png":
            return svg_to_png(draw(self.scene, lang=self._lang, colours=self._colours))
        frames = [
            draw(scene, lang=self._lang, colours=self._colours, filled=scene.selection.position)
            for scene in self._frames()
        ]
        return frames_to_gif(frames, milliseconds=800)

    def _frames(self) -> list[Scene]:
        """Return the scene at every position."""
        with importing:
            from .story import make_scene

        steps = self.scene.steps
        if steps > MOST_FRAMES:
            raise ArgumentError(
                f"the animation would have {steps:,} steps but at most {MOST_FRAMES} are drawn; use a smaller image or "
                "a greater stride, or save one step, or the explorer as .html"
            )
        return [
            make_scene(
                self._layer,
                self.scene.chapter,
                self._selection._replace(position=step),
                **self._options,
            )
            for step in range(steps)
        ]


@named
def illustrate(
    x: ArrayLike,
    w: ArrayLike,
    *,
    chapter: str = "matmul-channels",
    step: int | Literal["all"] | None = 0,
    filter: int = 0,  # noqa: A002 (the field's word; a number out of the filters)
    channel: int = 0,
    image: int = 0,
    labels: Labels = "values",
    colours: Colours = "channels",
    lang: str = "en",
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    layout: str | None = None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
) -> Illustration:
    """Draw a convolution as matrix multiplication: one step of the story, for these arrays.

    Parameters
    ----------
    x : array_like
        The image, of one to three spatial axes, as for `conv`; or a plain image for a plain kernel.
    w : array_like, (n, C/groups, *kernel)
        The filters; or a plain kernel, (k,) or (kh, kw).
    chapter : str
        ``"slide"``, ``"decompose"``, ``"matrix"``, ``"matmul"`` and ``"padding-stride"`` draw one channel and one
        kernel; ``"channels"``, ``"concat"``, ``"filters"``, ``"matmul-channels"``, ``"fold"`` and ``"view"`` the layer.
        On fewer multiplications, of one channel and one kernel: ``"tiles"``, ``"tile-kernel"``, ``"tile-products"`` and
        ``"tile-results"``, Winograd's F(2, 3), for 3 taps along an axis, or 1, and stride 1; ``"factors"`` and
        ``"two-passes"``, a kernel of two axes as a column times a row. Of other layers they say that, and show the
        windows as they are.
    step : int, "all" or None
        Which position is highlighted, from 0, in row-major order of the output; ``"all"`` animates, where
        there are at most 64; None highlights nothing.
    filter, channel, image : int
        Which filter is highlighted, which channel is drawn where only one is, and which image of a batch, from 0.
    labels : {"values", "letters"}
        Numbers, or letters with indices, for papers.
    colours : {"channels", "values"}
        Backgrounds tell the channel, or the value: blue below zero, orange above.
    lang : str
        ``"en"`` or ``"zh"``.
    stride, padding, dilation, groups, padding_mode, padding_value, layout
        As for `conv`.
    orientation, tap_order
        As for `im2col`.

    Returns
    -------
    Illustration
        It shows itself in notebooks; ``.save("x.svg")``, ``".png"``, ``".gif"`` or ``".html"`` (the explorer) writes
        it, ``.show()`` prints it in a terminal, ``.scene.to_json()`` is what it shows, as plain data.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.

    Examples
    --------
    >>> from im2col import illustrate
    >>> picture = illustrate([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, -1]], chapter="matmul")
    >>> [panel.kind for panel in picture.scene.panels]
    ['matrix', 'weights', 'product', 'maps']
    >>> picture.scene.formula.result, picture.scene.formula.terms
    ('−4', (('1', '1'), ('2', '0'), ('4', '0'), ('5', '−1')))
    """
    with importing:
        from .colours import COLOURS
        from .labels import LABELS
        from .pictured_layer import make_pictured_layer
        from .plane import NOTHING, Selection
        from .text import dictionary

    layer = make_pictured_layer(
        x,
        w,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        padding_value=padding_value,
        layout=layout,
        orientation=orientation,
        tap_order=tap_order,
    )
    labels = check_choice("labels", labels, LABELS)
    colours = check_choice("colours", colours, COLOURS)
    dictionary(lang)
    filter = _below("filter", filter, layer.filters)  # noqa: A001 (the argument's name)
    channel = _below("channel", channel, layer.channels)
    image = _below("image", image, layer.batch)
    selection = NOTHING._replace(image=image)
    is_animated = word(step) == "all"
    if step is not None:
        at = 0 if is_animated else _below("step", step, layer.positions)
        selection = Selection(image, at, None, filter)
    return Illustration(
        layer,
        chapter,
        selection,
        channel=channel,
        labels=labels,
        colours=colours,
        lang=lang,
        animated=is_animated,
    )


def _below(name: str, value: object, count: int) -> int:
    """Return a number out of `count`, or say which there are."""
    try:
        number = integer(name, value, 0, "an integer" if name != "step" else 'an integer, "all" or None')
    except GeometryError as cause:  # the window's word for a wrong number
        raise ArgumentError(str(cause)) from None
    if number >= count:
        raise ArgumentError(
            f"{name} counts from 0 and there are {count} here, so it must be below {count}; got {number}"
        )
    return number
