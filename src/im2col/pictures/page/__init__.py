"""The explorer: one HTML file of the modules, the style and the data; nothing is built or fetched."""

from __future__ import annotations

import html
import json
import re
import zlib
from base64 import b64encode
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError
from ..colours import CHANNELS
from ..story import chapters
from ..text import dictionary, languages
from .modules import inline_modules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..labels import Labels
    from ..pictured_layer import PicturedLayer
    from ..plane import Selection

_BLOCK = re.compile(r"^ */\*\*.*?\*/ *$", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r" // [^\"'`]*$")
"""A comment at the end of a line; strings that hold two slashes end with a quote."""
_KINDS = tuple(map(np.dtype, ("u1", "i1", "<i2", "<i4", "<f4", "<f8")))
"""What the page reads, smallest first."""


def page_html(
    layer: PicturedLayer,
    *,
    chapter: str,
    selection: Selection,
    lang: str,
    channel: int = 0,
    labels: Labels = "values",
    framed: bool = False,
) -> str:
    """Return the explorer of a layer as an HTML document.

    Parameters
    ----------
    layer : PicturedLayer
    chapter : str
        The one that it opens with.
    selection : Selection
        Its image, position and filter are where the explorer begins.
    lang : str
    channel : int
        The one that is drawn where only one is.
    labels : {"values", "letters"}
    framed : bool
        Whether it stands in a frame of a notebook, which reads and sets what is seen, and has no address.

    Returns
    -------
    str
        Self-contained: no network, no other file.

    Raises
    ------
    ArgumentError
        If a number is complex, or one that JavaScript's numbers cannot hold.
    """
    g = layer.geometry
    image, weights = _packed("x", layer.image), _packed("w", layer.weights)
    data = {
        "lang": lang,
        "chapter": chapter,
        "channel": channel,
        "labels": labels,
        "framed": framed,
        "selection": {"image": selection.image, "position": selection.position, "filter": selection.filter},
        "languages": {name: _words(name) for name in languages()},
        "chapters": {name: one._asdict() for name, one in chapters().items()},
        "layer": {
            "batch": layer.batch,
            "channels": layer.channels,
            "filters": layer.filters,
            "groups": layer.groups,
            "spatial_shape": g.spatial_shape,
            "kernel_size": g.kernel_size,
            "stride": g.stride,
            "padding": g.padding,
            "dilation": g.dilation,
            "padding_mode": layer.padding_mode,
            "padding_value": _plain(float(_exact("padding_value", layer.padding_value.reshape(1))[0])),
            "orientation": layer.orientation,
            "tap_order": layer.tap_order,
            "memory": layer.memory,
        },
        "image": image,
        "weights": weights,
    }
    folder = files(__name__)
    words = dictionary(lang)
    parts = {
        "lang": lang,
        "title": html.escape(words["title"]),
        "noscript": html.escape(words["page.noscript"]),
        "style": _joined(_bare((folder / "style.css").read_text("utf-8") + _channel_rules())),
        "stripes": _stripes(),
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": _deflated(_bare(inline_modules(folder, "app.js")).encode()),
    }
    page = (folder / "template.html").read_text("utf-8")
    for name, part in parts.items():
        before, _, after = page.partition("{" + name + "}")
        page = before + part + after
    return page


def _words(lang: str) -> dict[str, str]:
    """Return the sentences of a language that the page may say."""
    words = dictionary(lang)
    return {key: text for key, text in words.items() if not key.startswith(("draw.", "terminal.", "tile."))}


def _bare(source: str) -> str:
    """Return source without what is for its readers: indentation, comments and empty lines."""
    lines = (_REMARK.sub("", line.strip()) for line in _BLOCK.sub("", source).splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def _joined(rules: str) -> str:
    """Return CSS rules without the spaces and the line ends that mean nothing."""
    for spaced, close in ((": ", ":"), (" {", "{"), ("{ ", "{"), ("\n", ""), ("; }", "}"), (";}", "}")):
        rules = rules.replace(spaced, close)
    return rules + "\n"


def _plain(value: float) -> float | str:
    """Return a number as JSON has it: NaN and the infinities as JavaScript's words for them."""
    return value if np.isfinite(value) else "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _exact(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as float64, if those are the same."""
    if np.iscomplexobj(values):
        raise ArgumentError(
            f"the explorer computes with real numbers but {name} is {values.dtype}; save .svg, or pass {name}.real"
        )
    with np.errstate(over="ignore"):
        exact = values.astype(np.float64)
    if not np.array_equal(np.isfinite(exact), np.isfinite(values)):
        raise ArgumentError(
            f"the explorer's numbers end at 1.8e308 but {name} of {values.dtype} holds greater ones; save .svg, or "
            "scale it down"
        )
    if values.dtype.kind in "iu" and values.size and int(np.abs(exact).max()) >= 1 << 53:
        raise ArgumentError(
            f"the explorer's numbers are exact up to 2**53 but {name} of {values.dtype} holds "
            f"{int(np.abs(exact).max())}; save .svg, or scale it down"
        )
    return exact


def _packed(name: str, values: NDArray[Any]) -> dict[str, str]:
    """Return an array as base64 of its compressed bytes, in the smallest dtype that holds it."""
    exact = _exact(name, values)
    with np.errstate(invalid="ignore", over="ignore"):
        kind = next(kind for kind in _KINDS if np.array_equal(exact.astype(kind), exact, equal_nan=True))
    return {"dtype": kind.name, "base64": _deflated(np.ascontiguousarray(exact.astype(kind)).tobytes())}


def _deflated(content: bytes) -> str:
    """Return bytes as base64 of what they are compressed to, which the page's browser unpacks."""
    return b64encode(zlib.compress(content, 9)).decode()


def _channel_rules() -> str:
    """Return the colours of cells and bands, channel by channel; darker paper takes more of a colour."""

    def mixed(colour: str, light: int, dark: int) -> str:
        shares = (f"color-mix(in srgb, {colour} {share}%, var(--paper))" for share in (light, dark))
        return f"light-dark({', '.join(shares)})"

    rules = []
    for i, colour in enumerate(CHANNELS):
        rules += [
            f":root {{ --tint-{i}: {mixed(colour, 16, 30)}; --band-{i}: {mixed(colour, 42, 55)}; }}",
            f".grid .c{i}, .ground-{i} {{ fill: var(--tint-{i}); }}",
            f".formula .tint-{i} {{ background: var(--tint-{i}); }}",
            f".band.b{i} {{ background-color: var(--band-{i}); }}",
            f".grid .headings .b{i}, .stripe-{i} {{ fill: var(--band-{i}); }}",
            f'.grid .c{i}.again, .grid .headings .b{i}.again {{ fill: url("#stripe-{i}"); }}',
        ]
    return "\n".join(rules) + "\n"


def _stripes() -> str:
    """Return the patterns of channels whose colours come again."""
    attributes = 'patternUnits="userSpaceOnUse" width="6" height="6" patternTransform="rotate(45)"'
    return "\n".join(
        f'<pattern id="stripe-{i}" {attributes}><rect class="ground-{i}" width="6" height="6"/>'
        f'<rect class="stripe-{i}" width="1.5" height="6"/></pattern>'
        for i in range(len(CHANNELS))
    )
