"""The plan of a transposed convolution, or of an image's gradient: chosen, prepared once, run many times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..algorithms.contract import Banded
from ..engine.host import format_bytes
from ..engine.threads import run_parallel
from ..errors import Im2colError, naming
from ..spec.memo import lazy
from ..spec.padding import fold_padding
from .plan import Choice, choose, verdicts
from .planning import Frozen, digest, kernels_of, operand, require_workspace, result_array, verdict_lines

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..algorithms.contract import Runner
    from ..engine.compiler import Kernel
    from ..spec.geometry import Geometry
    from ..spec.transposed import Phase, Transposed


_BAND_BYTES = 256 << 10
"""Of the operand: what a core's second level of cache holds while all phases read it."""


class Folding(NamedTuple):
    """How the gradient of a padded image becomes that of the image.

    Parameters
    ----------
    geometry : Geometry
        Of the forward convolution, with its padding.
    mode : str
        The padding mode.
    batch : int
        Images; the transposed convolution has one of them at a time.
    dtype : dtype
        Of the result.
    """

    geometry: Geometry
    mode: str
    batch: int
    dtype: np.dtype[Any]


class TransposedChoice(NamedTuple):
    """A transposed convolution and how it will be computed: all that can be known before the weights.

    Parameters
    ----------
    transposed : Transposed
    folding : Folding or None
    conjugate, flip : bool
        What happens to the weights first: an adjoint conjugates them.
    requested : str
        The algorithm that the user asked for.
    phases : tuple of Choice
        For each phase of the transposed convolution.
    threads : int
    """

    transposed: Transposed
    folding: Folding | None
    conjugate: bool
    flip: bool
    requested: str
    phases: tuple[Choice, ...]
    threads: int

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the operand, in its layout."""
        t = self.transposed
        batch = self.folding.batch if self.folding else t.batch
        return t.layout.from_canonical_shape(batch, t.filters, t.spatial_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result, in its layout."""
        t, folding = self.transposed, self.folding
        if folding is None:
            return t.output_shape
        return t.layout.from_canonical_shape(folding.batch, t.channels, folding.geometry.spatial_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The result's dtype."""
        return self.folding.dtype if self.folding else self.transposed.dtype

    @property
    def workspace_bytes(self) -> int:
        """Bytes allocated beyond operand and result, at most: for each phase, a padded image, and regrouped weights."""
        t = self.transposed
        padded = t.channels * math.prod(t.image) * t.dtype.itemsize if self.folding else 0
        weights = t.filters * (t.channels // t.groups) * math.prod(t.kernel_size) * t.w_dtype.itemsize
        return padded + weights * (t.groups > 1) + sum(choice.workspace_bytes for choice in self.phases)


def choose_phases(
    transposed: Transposed, folding: Folding | None, conjugate: bool, flip: bool, requested: str, threads: int
) -> TransposedChoice:
    """Choose an algorithm for each phase of a transposed convolution; see `TransposedChoice`."""
    phases = tuple(choose(phase.problem, requested, threads) for phase in transposed.phases)
    return TransposedChoice(transposed, folding, conjugate, flip, requested, phases, threads)


class TransposedPlan(Frozen):
    """A transposed convolution, or an image's gradient, prepared once and run many times: ``y = plan(x)``.

    Made by `im2col.plan_transpose` and `im2col.plan_input_gradient`. Immutable; equal and hashable by what it was made
    from; picklable; safe to call from several threads at once.

    Attributes
    ----------
    made_by : str
        The public function that made it, which errors name and `print` begins with.
    algorithm : str
        The algorithm that runs; several, joined by ``+``, where the phases of the stride get different ones.
    threads : int
        How many threads may work.
    workspace_bytes : int
        Bytes allocated beyond operand and result, at most, the weights as the algorithms want them included.
    """

    algorithm: str
    threads: int
    workspace_bytes: int
    _choice: TransposedChoice
    _w: NDArray[Any]
    _bias: NDArray[Any] | None

    def __init__(self, choice: TransposedChoice, w: NDArray[Any], bias: NDArray[Any] | None) -> None:
        names = dict.fromkeys(phase.algorithm.name for phase in choice.phases)
        vars(self).update(  # which asks no __setattr__
            algorithm="+".join(names) or "none",
            threads=choice.threads,
            workspace_bytes=choice.workspace_bytes,
            _choice=choice,
            _w=w,
            _bias=bias,
        )

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the operand."""
        return self._choice.x_shape

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self._choice.transposed.flops * (self._choice.folding.batch if self._choice.folding else 1)

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: operand and weight read once, result written once."""
        c = self._choice
        return (
            math.prod(c.x_shape) * c.transposed.x_dtype.itemsize
            + self._w.nbytes
            + math.prod(c.output_shape) * c.dtype.itemsize
        )

    @lazy
    def _runners(self) -> tuple[Runner, ...]:
        """Return what the algorithms made of the weights, phase by phase."""
        c, t = self._choice, self._choice.transposed
        kernel = tuple(range(2, self._w.ndim))
        w = np.flip(self._w, kernel) if c.flip else self._w
        with np.errstate(all="ignore"):
            w = np.conjugate(w) if c.conjugate and w.dtype.kind == "c" else w
        # (filters, channels of a group, *kernel) → (channels, filters of a group, *kernel)
        grouped = w.reshape(t.groups, t.filters // t.groups, *w.shape[1:]).swapaxes(1, 2)
        swapped = grouped.reshape(t.channels, t.filters // t.groups, *w.shape[2:])
        runners = []
        for phase, choice in zip(t.phases, c.phases, strict=True):
            part = swapped[(slice(None), slice(None), *phase.taps)]
            run = choice.algorithm.prepare(choice.problem, part, self._bias, self.threads)
            if run is None:
                # The engine has failed over this plan's kernels. Now that the algorithms know, the choice is another.
                another = _restored(*self.__reduce__()[1])
                vars(self).update(vars(another))
                return another._runners
            runners.append(run)
        return tuple(runners)

    def prepare(self) -> None:
        """Arrange the weights as the algorithms want them, now instead of in the first call.

        Raises
        ------
        MemoryBudgetError
            If the workspace would not fit the available memory.
        """
        with naming(self.made_by):
            require_workspace(self.workspace_bytes, self._choice.output_shape)
            _ = self._runners

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Run one operand through it.

        Parameters
        ----------
        x : array_like
            Of the shape and dtype that the plan was made for: an image, or the gradient of a convolution's result.
        out : ndarray, optional
            Where to write; the result's shape and dtype, any strides, no memory shared with `x`.

        Returns
        -------
        ndarray
            A new array, or `out`.

        Raises
        ------
        ShapeError, DTypeError, OutputError
            If an array does not fit the plan; nothing has been written then.
        MemoryBudgetError
            If the result would not fit the available memory.
        """
        c = self._choice
        try:
            array = operand("grad" if c.conjugate else "x", x, c.x_shape, c.transposed.x_dtype)
            out = result_array(out, c.output_shape, c.dtype, self.workspace_bytes, [array, self._w])
        except Im2colError as error:  # as `naming` does, which would take its time in each call
            error.operation = error.operation or self.made_by
            raise
        source, target = (c.transposed.layout.to_canonical(a) for a in (array, out))
        if c.folding is None:
            self._run_phases(source, target)
            return out
        padded = np.empty((1, c.transposed.channels, *c.transposed.image), c.transposed.dtype)
        for n in range(c.folding.batch):
            self._run_phases(source[n : n + 1], padded)
            with np.errstate(all="ignore"):
                folded = fold_padding(padded, 2, c.folding.geometry, c.folding.mode)
                np.copyto(target[n : n + 1], folded, casting="unsafe")
        return out

    def _run_phases(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        every = (slice(None), slice(None))
        t = self._choice.transposed
        if not t.covers:
            out[...] = self._unreached  # all of it: one run through memory, and not a strided one for each phase
        work = [
            (run, x[(*every, *phase.seen)], out[(*every, *phase.pixels)])
            for phase, run in zip(t.phases, self._runners, strict=True)
        ]
        count = x.nbytes // _BAND_BYTES
        if len(work) > 1 < count and x.shape[0] == 1:
            # All phases of a band, while the caches hold what they read, before the next band.
            bands = [run.bands(*arrays, count) if isinstance(run, Banded) else None for run, *arrays in work]
            if None not in bands:
                run_parallel([each for together in zip(*bands, strict=True) for each in together], self.threads)
                return
        for run, *arrays in work:
            run(*arrays)

    @lazy
    def _unreached(self) -> NDArray[Any]:
        """Return what stands where no tap reaches: the bias, and the activation of it."""
        from ..algorithms.epilogue import finish  # as all of that folder, it is loaded by those who compute

        t = self._choice.transposed
        accumulator = np.float32 if self._bias is None else self._bias.dtype
        sums = np.zeros((t.channels, *[1] * len(t.image)), accumulator)
        value = np.empty(sums.shape, t.dtype)
        with np.errstate(all="ignore"):
            finish(sums, self._bias, t.activation, value)
        return value

    def _kernels(self) -> tuple[Kernel, ...]:
        every = [kernels_of(choice.algorithm, choice.problem) for choice in self._choice.phases]
        return tuple(dict.fromkeys(kernel for kernels in every for kernel in kernels))

    @lazy
    def _key(self) -> tuple[object, ...]:
        c = self._choice
        made_from = (c.transposed, c.folding, c.conjugate, c.flip, c.requested, c.threads)
        return (*made_from, self._w.shape, digest(self._w, self._bias))

    def __reduce__(self) -> tuple[Any, ...]:
        c = self._choice
        made_of = (c.transposed, c.folding, c.conjugate, c.flip, c.requested, c.threads, self._w, self._bias)
        return _restored, (self.made_by, *made_of)

    def __repr__(self) -> str:
        c = self._choice
        return f"<im2col.TransposedPlan {c.x_shape} → {c.output_shape}, {self.algorithm}, threads {self.threads}>"

    def __str__(self) -> str:
        c, t = self._choice, self._choice.transposed
        tail = [str(part) for part in ("bias" * t.has_bias, t.activation) if part]
        folded = f", folded back ({c.folding.mode})" if c.folding else ""
        pads = c.folding.geometry.padding if c.folding else t.pads
        lines = [
            f"{self.made_by} {t.layout.axes} {c.x_shape} → {c.output_shape}",
            f"  window     kernel {t.kernel_size}, stride {t.stride}, dilation {t.dilation}, padding {pads}{folded}",
            f"  layer      {t.filters} channels → {t.channels}, groups {t.groups}{', kernels flipped' * c.flip}"
            + (f", then {', '.join(tail)}" if tail else ""),
            f"  dtypes     {t.x_dtype} × {t.w_dtype} → {c.dtype}",
            f"  cost       {self.flops / 1e9:.4g} GFLOP, {format_bytes(self.bytes_moved)} moved at least",
            f"  workspace  {format_bytes(self.workspace_bytes)}",
            f"  threads    {self.threads}",
        ]
        for phase, choice in zip(t.phases, c.phases, strict=True):
            lines += _phase_lines(phase, choice)
        if not t.covers:
            lines.append("  all other pixels: no tap reaches them")
        return "\n".join(lines)


def _phase_lines(phase: Phase, choice: Choice) -> list[str]:
    """Return what a plan prints of one phase."""
    where = ", ".join(f"{s.start}::{s.step}" if s.step > 1 else f"{s.start}:" for s in phase.pixels)
    g = choice.problem.geometry
    title = f"  pixels [{where}]: a convolution with {g.kernel_size} taps, padding {g.padding}, dilation {g.dilation}"
    return [title, *("  " + line for line in verdict_lines(verdicts(choice.problem), choice.algorithm.name))]


def _restored(
    made_by: str | None,
    transposed: Transposed,
    folding: Folding | None,
    conjugate: bool,
    flip: bool,
    requested: str,
    threads: int,
    w: NDArray[Any],
    bias: NDArray[Any] | None,
) -> TransposedPlan:
    with naming(made_by):
        choice = choose_phases(transposed, folding, conjugate, flip, requested, threads)
        return TransposedPlan(choice, w, bias).handed_out(made_by)
