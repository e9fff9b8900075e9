"""The commands of the command line: their arguments, and what they print.

What a command alone needs is imported when it is called, so that the others start sooner and take less memory.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ..configuration import clear_cache, show_config
from ..errors import ArgumentError, Im2colError
from ..files import STANDARD
from ..photo.filtering import filter_file
from ..photo.kernels import KERNELS
from ..spec.arguments import check_choice
from ..version import __version__
from .networks import network_command
from .options import LAYER_COLUMNS, parse_dtype, parse_shape, parse_window, read_layers, window_options
from .parameters import (  # noqa: TC001 (typer reads them)
    Compression,
    Dilation,
    DtypeOption,
    Force,
    FormatOption,
    Groups,
    Journal,
    Json,
    KernelSize,
    Large,
    LayoutOption,
    MatrixOut,
    NumberOption,
    OperationOption,
    OrientationOption,
    PaddingModeOption,
    PaddingOption,
    PhotoOut,
    ResultNumber,
    RoundingOption,
    Stride,
    TapOrderOption,
    Threads,
    TileOption,
    WeightsNumber,
    WeightsOption,
)
from .pictures import add_commands
from .progress import progress_bar
from .words import example, in_words_of_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _Commands(TyperGroup):
    """The commands; their errors speak of the command and its options, and of no function that nobody has called."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Im2colError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            error.args = (in_words_of_options(error.message, [] if command is None else command.params),)
            error.operation = None
            error.name_operation(ctx.invoked_subcommand)
            raise


app = typer.Typer(
    name="im2col",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Convolution as matrix multiplication.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"im2col {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Convolution as matrix multiplication."""


@app.command("filter", epilog=example("im2col filter photo.jpg --kernel sharpen -o sharp.jpg"))
def filter_command(
    photo: Annotated[
        str,
        typer.Argument(
            metavar="PHOTO",
            help="An image file, grey or colour: 8 or 16 bits from PNG and TIFF, floating point from TIFF, 8 bits from "
            "the rest. - is standard input.",
        ),
    ],
    kernel: Annotated[
        str,
        typer.Option(
            metavar="K",
            help="A name (see `im2col kernels`), or a .npy file. The middle of an even kernel is the pixel above and "
            "left of its centre: SciPy's and OpenCV's results of 2 x 2 lie one pixel further down and right.",
        ),
    ],
    out: PhotoOut,
    stride: Stride = "1",
    padding: PaddingOption = "same",
    dilation: Dilation = "1",
    padding_mode: PaddingModeOption = "edge",
    signed: Annotated[bool, typer.Option("--signed", help="Show 0 as mid-grey, negative results darker.")] = False,
    algorithm: Annotated[str, typer.Option(metavar="A", help="auto, implicit, explicit or reference.")] = "auto",
    compression: Compression = None,
    journal: Journal = None,
    threads: Threads = None,
    force: Force = False,
    large: Large = False,
) -> None:
    """Filter a photograph with a kernel, each colour by itself."""
    window: dict[str, Any] = window_options(stride, padding, dilation) | {"padding_mode": padding_mode}
    start = time.perf_counter()
    with progress_bar("filtering") as progress:
        done = filter_file(
            photo,
            kernel,
            out,
            force=force,
            large=large,
            compression=compression,
            journal=journal,
            signed=signed,
            algorithm=algorithm,
            threads=threads,
            progress=progress,
            **window,
        )
    seconds = time.perf_counter() - start
    _tell(done.notes, f"{photo} ({done.before}) → {out} ({done.after}): {kernel}, {seconds:.2f} s", out)


@app.command("matrix", epilog=example("im2col matrix photo.jpg --kernel-size 3 --stride 2 -o columns.npy"))
def matrix_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PHOTO|FILE.npy",
            help="An image file, whose colours are the image (alpha is left out), - for one from standard input, or an "
            "array.",
        ),
    ],
    kernel_size: KernelSize,
    out: MatrixOut,
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    padding_mode: PaddingModeOption = "constant",
    layout: LayoutOption = None,
    orientation: OrientationOption = "rows",
    tap_order: TapOrderOption = "channel-first",
    form: FormatOption = "npy",
    tile: TileOption = None,
    weights: WeightsOption = None,
    groups: Groups = None,
    number: NumberOption = None,
    weights_number: WeightsNumber = None,
    result_number: ResultNumber = None,
    rounding: RoundingOption = None,
    threads: Threads = None,
    force: Force = False,
    large: Large = False,
) -> None:
    """Write the column matrix as a .npy file, block by block; or as golden vectors for hardware."""
    from ..matrix_file import write_matrix
    from ..vectors.text import FORMATS
    from ..vectors.writing import write_vectors

    notes: list[str] = []
    options: dict[str, Any] = window_options(stride, padding, dilation) | {
        "padding_mode": padding_mode,
        "layout": layout,
        "tap_order": tap_order,
        "threads": threads,
        "force": force,
        "large": large,
        "note": notes.append,
    }
    vectors: dict[str, Any] = {
        "tile": None if tile is None else parse_shape("--tile", tile),
        "weights": weights,
        "groups": groups,
        "number": number,
        "weights_number": weights_number,
        "result_number": result_number,
        "rounding": rounding,
    }
    given = {name: value for name, value in vectors.items() if value is not None}
    check_choice("format", form, ("npy", *FORMATS))
    if form == "npy" and given:
        raise ArgumentError(f"{next(iter(given))} is for golden vectors; pass --format mem, or leave it out")
    if form != "npy" and orientation != "rows":
        raise ArgumentError("orientation is for .npy files; leave it out: a position is a row of golden vectors")
    start = time.perf_counter()
    with progress_bar("writing") as progress:
        kernel = parse_window("--kernel-size", kernel_size)
        write: Callable[..., object] = write_matrix if form == "npy" else write_vectors
        more = {"orientation": orientation} if form == "npy" else {"form": form, **given}
        written = write(source, out, kernel, progress=progress, **options, **more)
    _tell(notes, f"{written}\n{'written':<14} {out}, {time.perf_counter() - start:.2f} s", out)


@app.command("shape", epilog=example("im2col shape 1,3,224,224 --kernel-size 7 --stride 2 --padding 3"))
def shape_command(
    image_shape: Annotated[str, typer.Argument(metavar="IMAGE_SHAPE", help="Such as 1,3,224,224 or 1x3x224x224.")],
    kernel_size: KernelSize,
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    layout: LayoutOption = None,
    orientation: OrientationOption = "rows",
    dtype: DtypeOption = "float32",
    as_json: Json = False,
) -> None:
    """Show what the column matrix of an image would be."""
    from ..matrix_file import describe

    choices: dict[str, Any] = {"orientation": orientation, "dtype": parse_dtype("--dtype", dtype)}
    shape = describe(
        parse_shape("IMAGE_SHAPE", image_shape),
        parse_window("--kernel-size", kernel_size),
        layout=layout,
        **choices,
        **window_options(stride, padding, dilation),
    )
    typer.echo(json.dumps(shape.as_dict()) if as_json else str(shape))


@app.command("cost", epilog=example("im2col cost 1,3,224,224 64,3,7,7 --stride 2 --padding 3"))
def cost_command(
    image_shape: Annotated[
        str | None, typer.Argument(metavar="IMAGE_SHAPE", help="Such as 1,3,224,224 or 1x3x224x224.")
    ] = None,
    weight_shape: Annotated[
        str | None, typer.Argument(metavar="WEIGHT_SHAPE", help="Filters, channels/groups, kernel: 64,3,7,7.")
    ] = None,
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    groups: Annotated[int, typer.Option(metavar="N", help="Groups of channels and filters.")] = 1,
    layout: LayoutOption = None,
    dtype: DtypeOption = "float32",
    operation: OperationOption = "conv",
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.tsv",
            help=f"Layers instead: tab-separated columns {', '.join(LAYER_COLUMNS)}, named in the first line.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a convolution costs: operations, bytes, workspace."""
    from ..layers.costs import cost as cost_of

    options = window_options(stride, padding, dilation) | {
        "groups": groups,
        "dtype": parse_dtype("--dtype", dtype),
        "operation": operation,
    }
    if layers is not None and image_shape is None:
        table = read_layers(layers, layout=layout, **options)
        sums = {"flops": table.flops, "bytes_moved": table.bytes_moved, "matrix_bytes": table.matrix_bytes}
        typer.echo(json.dumps({"layers": [layer.as_dict() for layer in table], **sums}) if as_json else str(table))
        return
    if layers is not None or image_shape is None or weight_shape is None:
        raise ArgumentError("pass IMAGE_SHAPE and WEIGHT_SHAPE, or --layers FILE.tsv instead of both")
    shapes = parse_shape("IMAGE_SHAPE", image_shape), parse_shape("WEIGHT_SHAPE", weight_shape)
    one = cost_of(*shapes, layout=layout, **options)
    typer.echo(json.dumps(one.as_dict()) if as_json else str(one))


@app.command("plan", epilog=example("im2col plan 1,64,56,56 64,64,3,3 --padding 1"))
def plan_command(
    image_shape: Annotated[str, typer.Argument(metavar="IMAGE_SHAPE", help="Such as 1,3,224,224 or 1x3x224x224.")],
    weight_shape: Annotated[str, typer.Argument(metavar="WEIGHT_SHAPE", help="Filters, channels/groups, kernel.")],
    stride: Stride = "1",
    padding: PaddingOption = "0",
    dilation: Dilation = "1",
    groups: Annotated[int, typer.Option(metavar="N", help="Groups of channels and filters.")] = 1,
    padding_mode: PaddingModeOption = "constant",
    layout: LayoutOption = None,
    dtype: DtypeOption = "float32",
    operation: OperationOption = "conv",
    algorithm: Annotated[str, typer.Option(metavar="A", help="auto, implicit, explicit or reference.")] = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Show how a convolution, its transpose or a gradient would be computed, and why."""
    from .planning import plan_of

    made = plan_of(
        operation,
        parse_shape("IMAGE_SHAPE", image_shape),
        parse_shape("WEIGHT_SHAPE", weight_shape),
        parse_dtype("--dtype", dtype),
        groups=groups,
        padding_mode=padding_mode,
        layout=layout,
        algorithm=algorithm,
        threads=threads,
        **window_options(stride, padding, dilation),
    )
    facts = {name: getattr(made, name) for name in ("algorithm", "threads", "workspace_bytes", "flops", "bytes_moved")}
    typer.echo(json.dumps(facts) if as_json else str(made))


@app.command("config", epilog=example("im2col config --json"))
def config_command(
    clear: Annotated[bool, typer.Option("--clear-cache", help="Empty the cache of compiled kernels.")] = False,
    as_json: Json = False,
) -> None:
    """Show what was detected on this machine, and where the cache is."""
    if clear:
        typer.echo(f"{clear_cache()} files removed from the cache")
        return
    config = show_config()
    if as_json:
        typer.echo(json.dumps(config))
        return
    for name, value in config.items():
        typer.echo(f"{name.replace('_', ' '):<16}  {_listed(value)}")


@app.command("kernels", epilog=example("im2col kernels"))
def kernels_command() -> None:
    """List the named kernels."""
    for kernel in KERNELS.values():
        size = " × ".join(map(str, kernel.weights.shape))
        typer.echo(f"{kernel.name:<10} {size}  {kernel.meaning}")


@app.command("demo", epilog=example("im2col demo --out pictures --force"))
def demo_command(
    out: Annotated[str, typer.Option(metavar="DIR", help="Where to write the pictures.")] = "demo-out",
    force: Force = False,
) -> None:
    """Convolve a photograph in every way, check, and draw."""
    from ..demo import run_demo

    report = run_demo(out, force=force)
    typer.echo(str(report))
    raise typer.Exit(0 if report.passed else 1)


def _tell(notes: Iterable[str], done: str, out: str) -> None:
    """Print notes on standard error, and what was done: there, too, where standard output is what was written."""
    for note in notes:
        typer.echo(f"im2col: note: {note}", err=True)
    typer.echo(done, err=out == STANDARD)


def _listed(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_listed(item)}" for key, item in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


add_commands(app)
app.command("onnx", epilog=example("im2col onnx model.onnx --input photo.jpg --profile"))(network_command)
