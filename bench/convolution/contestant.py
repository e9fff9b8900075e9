"""A contestant of this contest."""

from __future__ import annotations

from dataclasses import dataclass

from ..contestants import Role, SeatedContestant
from .layers import Layer
from .problems import Problem, make_problem


@dataclass(frozen=True)
class Convolver(SeatedContestant[Layer, Problem]):
    """One way to convolve; see `SeatedContestant` for the other parameters.

    Parameters
    ----------
    is_direct : bool
        Whether it multiplies as often as the definition says: Winograd's algorithm and the frequency domain do not.
    copies_image : bool
        Whether the library keeps a copy of the image from the preparation on, which is not counted as its memory.
    """

    is_direct: bool = True
    copies_image: bool = False

    @property
    def is_compared(self) -> bool:
        """Ours with prepared weights, and the peers, of those that multiply directly."""
        return self.is_direct and not (self.role is Role.OURS and self.is_one_shot)

    def give(self, work: Layer, threads: int) -> Problem:
        """Return the layer with its data."""
        return make_problem(work, self.layout, threads)

    def copied_bytes(self, problem: Problem) -> int:
        """Return the bytes of the image, if the library copies it."""
        return problem.image.nbytes if self.copies_image else 0
