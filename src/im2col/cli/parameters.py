"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Stride = Annotated[str, typer.Option(metavar="N[,N]", help="Pixels between neighbouring positions.")]
Dilation = Annotated[str, typer.Option(metavar="N[,N]", help="Pixels between neighbouring taps.")]
PaddingOption = Annotated[
    str,
    typer.Option(
        metavar="P",
        help="Pixels around the image: 1, or 1,2, or before:after as in 1:2,0:3, or same, same_lower, valid, full, "
        "causal or multiple.",
    ),
]
PaddingModeOption = Annotated[str, typer.Option(metavar="MODE", help="constant, edge, reflect, symmetric or wrap.")]
KernelSize = Annotated[str, typer.Option(metavar="N[,N]", help="Taps along each axis.")]
LayoutOption = Annotated[str | None, typer.Option(metavar="AXES", help="The axes, such as NHWC.")]
OrientationOption = Annotated[str, typer.Option(metavar="O", help="rows: a patch is a row; columns: a column.")]
TapOrderOption = Annotated[str, typer.Option(metavar="O", help="channel-first or channel-last.")]
DtypeOption = Annotated[
    str, typer.Option(metavar="DTYPE", help="Of the image, such as float32, int8, or bfloat16 (with ml_dtypes).")
]
OperationOption = Annotated[
    str,
    typer.Option(
        metavar="OP", help="conv, conv_transpose, conv_input_gradient or conv_weight_gradient, of these shapes."
    ),
]
Threads = Annotated[int | None, typer.Option(metavar="N", help="How many threads may work.")]
Groups = Annotated[int | None, typer.Option(metavar="N", help="Groups of channels and filters.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that exists.")]
Large = Annotated[bool, typer.Option("--large", help="Trust a photograph of more than 89 million pixels.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Out = Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="Where to write.")]
PhotoOut = Annotated[
    str,
    typer.Option(
        "-o",
        "--out",
        metavar="FILE",
        help="Where to write: .png, .tif, .webp, .jpg, .bmp, .ppm, .pgm or .pnm; - is standard output, as PNG.",
    ),
]
Compression = Annotated[
    int | None,
    typer.Option(
        metavar="0..9", help="Of PNG (4) and TIFF (0): 0 is none, 9 makes the smallest files, and takes long."
    ),
]
Journal = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.json",
        help="Note there which rows of a PNG or TIFF file are written, so that the same command goes on after a kill.",
    ),
]
MatrixOut = Annotated[
    str,
    typer.Option(
        "-o",
        "--out",
        metavar="FILE.npy|FOLDER",
        help="Where to write; - is standard output. All formats but npy write several files: name a folder.",
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="F",
        help="npy; or golden vectors, in integers: mem ($readmemh, a word for each number), hex ($readmemh, a word for "
        "each row of a tile), c (a header), csv or json.",
    ),
]
TileOption = Annotated[
    str | None,
    typer.Option(metavar="PxTxF", help="Positions, taps and filters of a tile, such as 4x4x4; the whole if left out."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(metavar="FILE.npy", help="Filters, to write weights and expected result as well."),
]
NumberOption = Annotated[
    str | None,
    typer.Option(metavar="Q", help="Of the image: int8, uint4, or Qm.n: a sign, m bits before the point, n behind it."),
]
WeightsNumber = Annotated[str | None, typer.Option(metavar="Q", help="Of the weights.")]
ResultNumber = Annotated[
    str | None, typer.Option(metavar="Q", help="Of the result; the sums, in 32 or 48 bits, if left out.")
]
RoundingOption = Annotated[
    str | None, typer.Option(metavar="R", help="Of integers: half-even (if left out), half-up or floor.")
]
