"""NumPy's way: the column matrix, one product of matrices, and `col2im`, in blocks of this library."""

from __future__ import annotations

from functools import partial

from ..contestant import Differentiator
from ..ours import prepare_one_shot

_prepare = partial(prepare_one_shot, algorithm="explicit")
CONTESTANT = Differentiator("explicit", "numpy", _prepare, is_one_shot=True, is_compared=False)
