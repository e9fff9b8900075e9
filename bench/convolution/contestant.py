"""A contestant of this contest."""

from __future__ import annotations

from dataclasses import dataclass

from ..contestants import Contestant
from .problems import Layout, Problem


@dataclass(frozen=True)
class Convolver(Contestant[Problem]):
    """One way to convolve; see `Contestant` for the other parameters.

    Parameters
    ----------
    layout : {"NCHW", "NHWC"}
        Of the image that it is given and of the result that it returns.
    is_direct : bool
        Whether it multiplies as often as the definition says: Winograd's algorithm and the frequency domain do not.
    is_one_shot : bool
        Whether the weights come with every call; else they are prepared beforehand.
    copies_image : bool
        Whether the library keeps a copy of the image from the preparation on, which is not counted as its memory.
    """

    layout: Layout = "NCHW"
    is_direct: bool = True
    is_one_shot: bool = False
    copies_image: bool = False
