"""The command that runs models: ``im2col onnx``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..engine.threads import threads_for
from ..errors import ArgumentError, ShapeError
from ..files import open_npy, writing
from ..integrations import onnx
from ..photo.libraries import pillow
from ..photo.scaled import photo_image
from .parameters import Force, Json, Large, Threads  # noqa: TC001 (typer reads them)
from .progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..integrations.onnx.network.graph import Input
    from ..integrations.onnx.network.network import Network

    Array = NDArray[Any]

_RUNS = 5
"""Of a profile, after one that does not count."""
_ANY_SIDE = 1 << 30
"""Pixels of a photograph that is not scaled down when it is read."""
_MULTIPLE = 32
"""Of what a photograph's sides are made, where a model takes any: networks halve their images up to five times."""


def network_command(
    model: Annotated[str, typer.Argument(metavar="MODEL.onnx", help="An ONNX model of opset 7 or newer.")],
    input_: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[NAME=]FILE",
            help="A .npy file, or a photograph, as numbers from 0 to 1 (uint8: to 255), scaled to the size that the "
            "model takes. For each input of the model once.",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("-o", "--out", metavar="FILE.npz", help="Where to write what the model gives.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time goes, by node and by operator.")
    ] = False,
    threads: Threads = None,
    force: Force = False,
    large: Large = False,
    as_json: Json = False,
) -> None:
    """Run an ONNX model, or, without --input, tell how it would run."""
    with threads_for(threads):
        network = onnx.load(model)
        if not input_ and network.inputs and not profile:
            typer.echo(json.dumps(_described(network)) if as_json else str(network))
            return
        given = _inputs(network, input_ or [], large=large)
        facts: dict[str, Any] = {}
        with progress_bar("running") as progress:
            runs = _RUNS + 2 if profile else 1
            done = 0

            def watch(_: int, __: float) -> None:
                nonlocal done
                done += 1
                if progress is not None:
                    progress(done, runs * len(network))

            found = network.profile(given, runs=_RUNS, watch=watch) if profile else None
            results = network.run(given, watch=watch)
    if out is not None:
        with writing(out, force=force) as file:
            np.savez(file, **{name.replace("/", "_"): value for name, value in results.items()})
    facts = {name: _facts(value) for name, value in results.items()}
    if as_json:
        typer.echo(json.dumps({"outputs": facts} | ({"profile": found.as_dict()} if found else {})))
        return
    if found is not None:
        typer.echo(f"{found}\n")
    for name, each in facts.items():
        typer.echo(f"{name}: {', '.join(f'{key} {value}' for key, value in each.items())}")


def _inputs(network: Network, told: Sequence[str], *, large: bool) -> dict[str, Array]:
    """Return the inputs that the user named; random numbers for those of a known shape that are not named."""
    by_name = {each.name: each for each in network.inputs}
    given: dict[str, Array] = {}
    for number, text in enumerate(told):
        name, _, path = text.partition("=")
        if name not in by_name:  # no name, but a file's that has a = in it
            if number >= len(network.inputs):
                raise ArgumentError(f"the model takes {len(network.inputs)} inputs, got {len(told)}")
            name, path = network.inputs[number].name, text
        if path.lower().endswith(".npy"):
            given[name] = open_npy(path)
        else:
            given[name] = _photograph(path, by_name[name], large=large)
    return given or {each.name: each.sample() for each in network.inputs}


def _photograph(path: str, taken: Input, *, large: bool) -> Array:
    """Return a photograph as an input takes it."""
    shape, kind = taken.shape or (), taken.dtype.kind if taken.dtype else ""
    channels_at = next(
        (at for at in (len(shape) - 3, len(shape) - 1) if len(shape) in (3, 4) and shape[at] in (1, 3)), None
    )
    if channels_at is None or (kind != "f" and taken.dtype != np.uint8):
        raise ShapeError(f"the model takes no photograph as {taken}; pass a .npy file")
    axes = [at for at in range(len(shape) - 3, len(shape)) if at != channels_at]
    pixels = photo_image(path, longest=_ANY_SIDE, large=large)
    size = [
        n if isinstance(n := shape[at], int) else max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)
        for at, side in zip(axes, pixels.shape[1:], strict=True)
    ]
    image = pillow().Image.fromarray(pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0])
    image = image.convert("RGB" if shape[channels_at] == 3 else "L").resize((size[1], size[0]))
    array = np.atleast_3d(np.asarray(image))
    if channels_at != len(shape) - 1:
        array = array.transpose(2, 0, 1)
    if kind == "f":
        array = (array / np.float32(255)).astype(taken.dtype)
    return np.ascontiguousarray(array[None] if len(shape) == 4 else array)


def _described(network: Network) -> dict[str, Any]:
    return {"name": network.name, "inputs": [str(each) for each in network.inputs], "outputs": network.outputs}


def _facts(value: Any) -> dict[str, Any]:
    """Return what is told of an output."""
    if not isinstance(value, np.ndarray):
        return {"kind": type(value).__name__}
    facts: dict[str, Any] = {"shape": list(value.shape), "dtype": str(value.dtype)}
    if value.size and value.dtype.kind in "iuf":
        facts |= {"min": float(value.min()), "max": float(value.max()), "mean": float(value.mean())}
    return facts
