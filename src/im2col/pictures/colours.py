"""Colours: channels as light tints, values from blue through white to orange. Literal, for every exported picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colours = Literal["channels", "values"]
"""What the background of a cell shows."""
COLOURS = get_args(Colours)

CHANNELS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""M. Okabe and K. Ito, "Color Universal Design" (2008): told apart by all kinds of colour vision."""
PAPER, INK, FAINT, LINE, PADDING = "#ffffff", "#1f2430", "#5b6372", "#c9ced8", "#f3f4f6"
LOW, HIGH = "#0072B2", "#E69F00"
_TINT, _BAND, _VALUE = 0.16, 0.42, 0.75
_DARK = {PAPER: "#161a22", INK: "#eceff5", FAINT: "#a9b1c0", LINE: "#3c4454", PADDING: "#1d222c"}
_DARK_TINT, _DARK_BAND, _DARK_VALUE = 0.30, 0.55, 0.42
"""What stands for them on dark paper, as in the explorer: it takes more of a colour, but digits are read on it."""


def mix(colour: str, amount: float, paper: str = PAPER) -> str:
    """Return a colour laid over paper, from 0 (paper) to 1 (colour).

    Examples
    --------
    >>> mix("#0072B2", 0.5)
    '#80b9d9'
    """
    parts = zip(_rgb(colour), _rgb(paper), strict=True)
    return "#" + "".join(f"{int(p + (c - p) * amount + 0.5):02x}" for c, p in parts)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def channel_tint(channel: int) -> str:
    """Return the background of a channel's cells; -1 is no channel."""
    return PAPER if channel < 0 else mix(CHANNELS[channel % len(CHANNELS)], _TINT)


def channel_band(channel: int) -> str:
    """Return the colour of a channel's header band."""
    return mix(LINE, 0.5) if channel < 0 else mix(CHANNELS[channel % len(CHANNELS)], _BAND)


def value_colour(value: float, largest: float) -> str:
    """Return blue for negative values, white for 0, orange for positive ones, the fuller the larger.

    Parameters
    ----------
    value : float
    largest : float
        The modulus of the fullest colour, which infinities have, too. NaN is grey.
    """
    if np.isnan(value):
        return LINE
    share = 1.0 if np.isinf(value) else 0.0 if largest == 0 else min(1.0, abs(value) / largest)
    return mix(HIGH if value > 0 else LOW, _VALUE * share)


def darkened(colour: str) -> str:
    """Return the colour that takes another one's place on dark paper.

    Parameters
    ----------
    colour : str
        One that a picture has, in lower case: paper, ink, lines, tints and bands of channels, values.

    Examples
    --------
    >>> darkened(PAPER), darkened(channel_tint(0)), darkened(value_colour(3, 4))
    ('#161a22', '#0f344d', '#574417')
    """
    paper = _DARK[PAPER]
    if colour in _DARK:
        return _DARK[colour]
    for channel, own in enumerate(CHANNELS):
        if colour == channel_tint(channel):
            return mix(own, _DARK_TINT, paper)
        if colour == channel_band(channel):
            return mix(own, _DARK_BAND, paper)
    for amount in (0.3, 0.5):  # of blocks, and of bands without a channel
        if colour == mix(LINE, amount):
            return mix(_DARK[LINE], amount, paper)
    red, _, blue = _rgb(colour)  # of a value: the hue has none of one of them, so the paper's share is to be seen
    hue, share = (HIGH, 1 - blue / 255) if red > blue else (LOW, 1 - red / 255)
    return mix(hue, share * _DARK_VALUE / _VALUE, paper)


def heat(values: NDArray[np.float64], channel: int, *, by_value: bool) -> NDArray[np.uint8]:
    """Return a picture of values.

    Parameters
    ----------
    values : ndarray, (H, W)
    channel : int
        Of an image; its picture goes from dark to light in the channel's hue. -1 for results, which go from blue
        through white to orange.
    by_value : bool
        Use the colours of values for channels too.

    Returns
    -------
    ndarray, (H, W, 3), uint8
    """
    # Infinities are as full as the fullest number of either sign, and leave the others their colours.
    numbers = values[np.isfinite(values)]
    low, high = float(numbers.min(initial=0)), float(numbers.max(initial=0))
    bright = channel >= 0 and low >= 0 and not by_value
    largest = max(-low, high) or 1.0
    finite = np.nan_to_num(values, posinf=largest, neginf=0.0 if bright else -largest)
    if bright:
        share = (finite / largest)[..., None]
        light = np.array(_rgb(mix(CHANNELS[channel % len(CHANNELS)], 0.25)), np.float64)
        dark = np.array(_rgb(mix(CHANNELS[channel % len(CHANNELS)], 0.35, "#0b0d12")), np.float64)
        picture = np.asarray(dark + (light - dark) * share + 0.5).astype(np.uint8)
        picture[np.isnan(values)] = _rgb(LINE)
        return picture
    share = 0.9 * np.abs(finite / largest)[..., None]
    hue = np.where((finite > 0)[..., None], np.array(_rgb(HIGH)), np.array(_rgb(LOW)))
    picture = np.asarray(255 + (hue - 255) * share + 0.5).astype(np.uint8)
    picture[np.isnan(values)] = _rgb(LINE)
    return picture
