"""The commands that draw: `draw` into a file, `show` in the terminal, `explore` as a page."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ArgumentError
from .options import window_options
from .parameters import (  # noqa: TC001 (typer reads them)
    Dilation,
    Force,
    Groups,
    Large,
    LayoutOption,
    OrientationOption,
    Out,
    PaddingModeOption,
    PaddingOption,
    Stride,
    TapOrderOption,
)
from .words import example

if TYPE_CHECKING:
    from ..pictures.illustration import Illustration

SMALL = (1, 1, 6, 6), 1
"""The samples that `draw` and `show` draw where nothing is named: the image's shape, and how many filters."""
PAGE = (1, 3, 8, 8), 4
"""Those that `explore` shows."""

ChapterArgument = Annotated[
    str,
    typer.Argument(
        metavar="CHAPTER",
        help="slide, decompose, matrix, matmul, channels, concat, filters, matmul-channels, padding-stride, fold, "
        "view, tiles, tile-kernel, tile-products, tile-results, factors or two-passes.",
    ),
]
ChapterOption = Annotated[str, typer.Option(metavar="CHAPTER", help="Where the page opens; see `im2col draw --help`.")]
Shape = Annotated[
    str | None, typer.Option(metavar="SHAPE", help="Of a sample image, such as 1,3,8,8; the image if none is named.")
]
ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="PHOTO", help="An image file, scaled down to 224 pixels.")
]
ArrayOption = Annotated[str | None, typer.Option("--array", metavar="FILE.npy", help="An array as the image.")]
KernelOption = Annotated[
    str | None,
    typer.Option(
        metavar="K",
        help="A shape of sample weights, such as 4,3,3,3 (filters, channels/groups, kernel); a .npy file; or a name "
        "(see `im2col kernels`), which without --groups is applied to each channel by itself.",
    ),
]
Step = Annotated[str, typer.Option(metavar="N|none", help="Which position is highlighted, from 0, or none.")]
DrawStep = Annotated[
    str,
    typer.Option(
        metavar="N|none|all",
        help="Which position is highlighted, from 0, or none; all animates an SVG (a GIF always has all).",
    ),
]
FilterOption = Annotated[int, typer.Option("--filter", metavar="N", help="Which filter is highlighted, from 0.")]
Channel = Annotated[int, typer.Option(metavar="N", help="Which channel is drawn where only one is, from 0.")]
LabelsOption = Annotated[str, typer.Option("--labels", metavar="L", help="values, or letters with indices.")]
Lang = Annotated[str, typer.Option(metavar="L", help="en or zh.")]
PageOut = Annotated[str, typer.Option("-o", "--out", metavar="FILE.html", help="Where to write.")]
Open = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open", help="Open the page in a browser; if neither is given, where a person is at a screen."
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the program's."""
    app.command("draw", epilog=example("im2col draw slide --shape 6,6 --kernel 3,3 -o slide.svg"))(draw_command)
    app.command("show", epilog=example("im2col show matmul --shape 4,4 --kernel 2,2"))(show_command)
    app.command("explore", epilog=example("im2col explore --image photo.jpg --kernel sobel-x"))(explore_command)


def draw_command(
    chapter: ChapterArgument,
    out: Out,
    shape: Shape = None,
    image: ImageOption = None,
    array: ArrayOption = None,
    kernel: KernelOption = None,
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    groups: Groups = None,
    padding_mode: PaddingModeOption = "constant",
    layout: LayoutOption = None,
    orientation: OrientationOption = "rows",
    tap_order: TapOrderOption = "channel-first",
    step: DrawStep = "0",
    filter_: FilterOption = 0,
    channel: Channel = 0,
    labels: LabelsOption = "values",
    lang: Lang = "en",
    force: Force = False,
    large: Large = False,
) -> None:
    """Draw a chapter of the story: how convolution becomes a matrix product.

    The ending of FILE is .svg, .png, .gif (which steps through all positions) or .html (the explorer).
    """
    if step == "all" and Path(out).suffix.lower() not in {".svg", ".gif"}:
        raise ArgumentError(f"--step all animates, which only .svg and .gif hold; got {out}, so name one step")
    source = _Source(shape, image, array, kernel, layout, groups, large)
    picture = source.illustrate(
        SMALL,
        chapter=chapter,
        step=_step(step, animates=True),
        filter=filter_,
        channel=channel,
        labels=labels,
        lang=lang,
        padding_mode=padding_mode,
        orientation=orientation,
        tap_order=tap_order,
        **window_options(stride, padding, dilation),
    )
    picture.save(out, force=force)
    typer.echo(f"{source.summary(chapter)} → {out}")


def show_command(
    chapter: ChapterArgument,
    shape: Shape = None,
    image: ImageOption = None,
    array: ArrayOption = None,
    kernel: KernelOption = None,
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    groups: Groups = None,
    padding_mode: PaddingModeOption = "constant",
    layout: LayoutOption = None,
    orientation: OrientationOption = "rows",
    tap_order: TapOrderOption = "channel-first",
    step: Step = "0",
    filter_: FilterOption = 0,
    channel: Channel = 0,
    labels: LabelsOption = "values",
    lang: Lang = "en",
    large: Large = False,
) -> None:
    """Show a chapter of the story in the terminal."""
    source = _Source(shape, image, array, kernel, layout, groups, large)
    picture = source.illustrate(
        SMALL,
        chapter=chapter,
        step=_step(step),
        filter=filter_,
        channel=channel,
        labels=labels,
        lang=lang,
        padding_mode=padding_mode,
        orientation=orientation,
        tap_order=tap_order,
        **window_options(stride, padding, dilation),
    )
    picture.show()


def explore_command(
    chapter: ChapterOption = "slide",
    out: PageOut = "im2col-explorer.html",
    shape: Shape = None,
    image: ImageOption = None,
    array: ArrayOption = None,
    kernel: KernelOption = None,
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    groups: Groups = None,
    padding_mode: PaddingModeOption = "constant",
    layout: LayoutOption = None,
    orientation: OrientationOption = "rows",
    tap_order: TapOrderOption = "channel-first",
    lang: Lang = "en",
    force: Force = False,
    large: Large = False,
    open_: Open = None,
) -> None:
    """Write the explorer, an interactive page that needs no network, and open it."""
    if Path(out).suffix.lower() != ".html":
        raise ArgumentError(
            f"the explorer is a page, whose name ends in .html; got {out}; `im2col draw` draws a picture"
        )
    source = _Source(shape, image, array, kernel, layout, groups, large)
    picture = source.illustrate(
        PAGE,
        chapter=chapter,
        lang=lang,
        padding_mode=padding_mode,
        orientation=orientation,
        tap_order=tap_order,
        **window_options(stride, padding, dilation),
    )
    page = picture.save(out, force=force).resolve()
    typer.echo(f"{source.summary(chapter)} → {page}")
    if _someone_looks() if open_ is None else open_:
        webbrowser.open(page.as_uri())


@dataclass
class _Source:
    """What the user named as arrays."""

    shape: str | None
    image: str | None
    array: str | None
    kernel: str | None
    layout: str | None
    groups: int | None
    large: bool
    _shapes: str = ""

    def illustrate(self, sample: tuple[tuple[int, ...], int], **options: Any) -> Illustration:
        """Return the picture of these arrays, of samples where nothing is named."""
        from ..pictures.illustration import illustrate
        from .sources import read_filters, read_image

        default_shape, default_filters = sample
        x = read_image(
            shape=self.shape,
            image=self.image,
            array=self.array,
            large=self.large,
            default=default_shape,
        )
        w, groups = read_filters(self.kernel, x, layout=self.layout, groups=self.groups, default=default_filters)
        self._shapes = f"{x.shape} by {w.shape}"
        return illustrate(x, w, layout=self.layout, groups=groups, **options)

    def summary(self, chapter: str) -> str:
        """Return one line of what was drawn."""
        return f"{chapter}: {self._shapes}"


def _step(text: str, *, animates: bool = False) -> Any:
    """Return a step as `illustrate` takes it."""
    if text == "none":
        return None
    if text == "all" and animates:
        return text
    try:
        return int(text)
    except ValueError:
        words = "a whole number, none or all" if animates else "a whole number or none"
        raise ArgumentError(f"--step must be {words}; got {text!r}") from None


def _someone_looks() -> bool:
    """Say whether a browser could appear before somebody's eyes."""
    has_screen = sys.platform in {"darwin", "win32"} or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return sys.stdout.isatty() and has_screen and not os.environ.get("CI")
