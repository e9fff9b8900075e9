"""The transpose of a convolution: one stage for each phase of the stride, or one product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..algorithms import choose, offer_table
from ..algorithms.contract import Banded
from ..engine.threads import run_parallel
from ..errors import format_bytes
from ..importing import importing
from ..memory import lazy
from ..spec.padded import fold_padding
from .operation import Input, Operation
from .words import cost_words, mode_words, tail_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..algorithms import Choice
    from ..algorithms.contract import AtOnce, Runner
    from ..spec.geometry import Geometry
    from ..spec.padded import Mode
    from ..spec.transposed import Phase, Transposed
    from ..summary import Summary
    from .operation import Weights
    from .product import Product

    Array = NDArray[Any]

_BAND_BYTES = 256 << 10
"""Of the operand: what a core's second level of cache holds while all phases read it."""
_PHASE_BYTES = 9 << 9
"""Of the objects around a phase, which count where there are thousands."""


class Folding(NamedTuple):
    """How the gradient of a padded image becomes that of the image.

    Parameters
    ----------
    geometry : Geometry
        Of the forward convolution, with its padding.
    mode : str or tuple of str
        The padding mode.
    batch : int
        Images; the transposed convolution has some of them at a time.
    dtype : dtype
        Of the result.
    """

    geometry: Geometry
    mode: Mode
    batch: int
    dtype: np.dtype[Any]


class _Filled(NamedTuple):
    """A call whose result is filled with a value first, which stands where no tap reaches."""

    run: AtOnce
    value: Any

    @property
    def any_threads(self) -> bool:
        """Whether the number of threads makes no difference to it."""
        return self.run.any_threads

    def __call__(self, out: Array, *arrays: Any) -> None:
        """Overwrite `out`."""
        out.fill(self.value)
        self.run(out, *arrays)


class PreparedPhases(NamedTuple):
    """A runner for each stage, the bias, and what stands where no tap reaches, if that is anywhere."""

    runners: tuple[Runner, ...]
    bias: Array | None
    unreached: Array | None


class Transpose(Operation):
    """A transposed convolution, or an image's gradient: one convolution for each phase of the stride, or one product.

    Its spec is the transposed convolution, how its result is folded, what happens to the weights first (whether they
    are conjugated and flipped), the algorithm that the user asked for, and the threads.
    """

    @classmethod
    def decided(
        cls,
        transposed: Transposed,
        folding: Folding | None,
        conjugate: bool,
        flip: bool,
        requested: str,
        threads: int,
    ) -> Self:
        """Choose an algorithm for each phase, or for the product."""
        t = transposed
        product = _product_of(t, requested)
        stages = [phase.problem for phase in t.phases] if product is None else [product.problem]
        choices = tuple(choose(problem, requested, threads) for problem in stages)
        batch, dtype = (folding.batch, folding.dtype) if folding else (t.batch, t.dtype)
        image = folding.geometry.spatial_shape if folding else t.image
        x_shape = t.layout.from_canonical_shape(batch, t.filters, t.spatial_shape)
        # For each phase, padded images, and regrouped weights.
        padded = t.batch * t.channels * math.prod(t.image) * t.dtype.itemsize if folding else 0
        weights = t.filters * (t.channels // t.groups) * math.prod(t.kernel_size) * t.w_dtype.itemsize
        # Phases that are alike have their tables in common.
        shared = {choice.problem: choice.offer.shared_bytes for choice in choices}
        own = (choice.offer.workspace_bytes - choice.offer.shared_bytes for choice in choices)
        nbytes = padded + weights * (t.groups > 1) + sum(own) + sum(shared.values())
        nbytes += _PHASE_BYTES * len(t.phases) if product is None else product.workspace_bytes(threads)
        return cls(
            (transposed, folding, conjugate, flip, requested, threads),
            threads,
            choices,
            (Input("grad" if conjugate else "x", x_shape, t.x_dtype),),
            t.layout.from_canonical_shape(batch, t.channels, image),
            dtype,
            nbytes,
        )

    @property
    def transposed(self) -> Transposed:
        """What is computed, for some images at a time if the result is folded."""
        transposed: Transposed = self.spec[0]
        return transposed

    @lazy
    def product(self) -> Product | None:
        """Return how it is one product and a fold, where it is."""
        return _product_of(self.transposed, self.spec[4])

    @property
    def folding(self) -> Folding | None:
        """How the result is folded."""
        folding: Folding | None = self.spec[1]
        return folding

    def prepare(self, weights: Weights) -> PreparedPhases:
        """Return what the algorithms make of the weights, phase by phase or for the product."""
        given, bias = weights
        t, w = self.transposed, np.asarray(given)
        with np.errstate(all="ignore"):
            w = np.conjugate(w) if self.spec[2] and w.dtype.kind == "c" else w
        swapped = self._swapped(w).reshape(t.channels, t.filters // t.groups, *w.shape[2:])
        if self.product is not None:
            return PreparedPhases(
                (self.choices[0].offer.prepare(self.product.weights(swapped), None, None),), bias, None
            )
        runners = [
            choice.offer.prepare(swapped[(slice(None), slice(None), *phase.taps)], bias, None)
            for phase, choice in zip(t.phases, self.choices, strict=True)
        ]
        return PreparedPhases(tuple(runners), bias, None if t.covers else self._unreached(bias))

    def _swapped(self, w: Array) -> Array:
        """Return a view (groups, channels of a group, filters of a group, *kernel) of the weights."""
        t, flip = self.transposed, self.spec[3]
        w = np.flip(w, tuple(range(2, w.ndim))) if flip else w
        return w.reshape(t.groups, t.filters // t.groups, *w.shape[1:], copy=False).swapaxes(1, 2)

    def one_call(self, arrays: Sequence[Array], weights: Weights, out: Array) -> AtOnce | None:
        """Return `prepare` and `run` as one call of the engine, for arrays like these; None where it is not."""
        (x,), (given, bias), t = arrays, weights, self.transposed
        in_bands = len(self.choices) > 1 < x.nbytes // _BAND_BYTES  # then one call for all would be slower
        if self.folding or self.product or in_bands or given is None or (bias is not None and not t.covers):
            return None
        view, every, swapped = t.layout.to_canonical, (slice(None), slice(None)), self._swapped(given)
        stages = []
        for phase, choice in zip(t.phases, self.choices, strict=True):
            source, target = view(x)[(*every, *phase.seen)], view(out)[(*every, *phase.pixels)]
            taps = swapped[(slice(None), *every, *phase.taps)]
            stages.append(choice.offer.stage(source, target, taps) if choice.offer.stage else None)
        if not stages or stages[0] is None or None in stages:
            return None
        run = stages[0].with_others(stages, (x, out, given), bias)
        return run if run is None or t.covers else _Filled(run, self._unreached(None).flat[0])

    def _unreached(self, bias: Array | None) -> Array:
        """Return what stands where no tap reaches: the bias, and the activation of it."""
        with importing:
            from ..algorithms.epilogue import finish  # as all of that folder, it is loaded by those who compute

        t = self.transposed
        sums = np.zeros((t.channels, *[1] * len(t.image)), np.float32 if bias is None else bias.dtype)
        value = np.empty(sums.shape, t.dtype)
        with np.errstate(all="ignore"):
            finish(sums, bias, t.activation, value)
        return value

    def run(self, prepared: PreparedPhases, arrays: Sequence[Array], out: Array) -> None:
        """Overwrite `out`."""
        t, folding = self.transposed, self.folding
        source, target = (t.layout.to_canonical(each) for each in (arrays[0], out))
        if folding is None:
            self._run_stages(prepared, source, target)
            return
        # In the layout's order, for which the kernels were chosen.
        padded = t.layout.to_canonical(np.empty(t.layout.from_canonical_shape(t.batch, t.channels, t.image), t.dtype))
        for n in range(0, folding.batch, max(1, t.batch)):
            first = min(n, folding.batch - t.batch)  # some of the last images may be made twice, of the same bits
            images = slice(first, first + t.batch)
            self._run_stages(prepared, source[images], padded)
            with np.errstate(all="ignore"):
                folded = fold_padding(padded, 2, folding.geometry, folding.mode)
                np.copyto(target[images], folded, casting="unsafe")

    def _run_stages(self, prepared: PreparedPhases, x: Array, out: Array) -> None:
        if self.product is None:
            self._run_phases(prepared, x, out)
        else:
            self.product.run(prepared.runners[0], prepared.bias, x, out, self.threads)

    def _run_phases(self, prepared: PreparedPhases, x: Array, out: Array) -> None:
        every = (slice(None), slice(None))
        t = self.transposed
        if prepared.unreached is not None:
            out[...] = prepared.unreached  # all of it: one run through memory, and not a strided one for each phase
        work = [
            (run, x[(*every, *phase.seen)], out[(*every, *phase.pixels)])
            for phase, run in zip(t.phases, prepared.runners, strict=True)
        ]
        count = x.nbytes // _BAND_BYTES
        if len(work) > 1 < count and x.shape[0] == 1:
            # All phases of a band, while the caches hold what they read, before the next band.
            bands = [run.bands(*views, count) if isinstance(run, Banded) else None for run, *views in work]
            if None not in bands:
                run_parallel([each for together in zip(*bands, strict=True) for each in together], self.threads)
                return
        for run, *views in work:
            run(*views)

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        t, folding = self.transposed, self.folding
        return t.flops // max(1, t.batch) * folding.batch if folding else t.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: operand and weight read once, result written once."""
        t = self.transposed
        weights = t.filters * (t.channels // t.groups) * math.prod(t.kernel_size) * t.w_dtype.itemsize
        operand = math.prod(self.inputs[0].shape) * t.x_dtype.itemsize
        return operand + weights + math.prod(self.output_shape) * self.dtype.itemsize

    def summary(self, name: str) -> Summary:
        """Return what a plan tells of it, under its maker's name."""
        with importing:
            from ..summary import Summary, Table

        t, folding, flip = self.transposed, self.folding, self.spec[3]
        folded = f", folded back ({mode_words(folding.mode, t.layout.spatial)})" if folding else ""
        pads = folding.geometry.padding if folding else t.pads
        layer = f"{t.filters} channels → {t.channels}, groups {t.groups}{', kernels flipped' * flip}"
        facts = (
            ("window", f"kernel {t.kernel_size}, stride {t.stride}, dilation {t.dilation}, padding {pads}{folded}"),
            ("layer", layer + tail_words(t)),
            ("dtypes", f"{t.x_dtype} × {t.w_dtype} → {self.dtype}"),
            ("cost", cost_words(self)),
            ("workspace", format_bytes(self.workspace_bytes)),
            ("threads", str(self.threads)),
        )
        if self.product is not None:
            columns = self.product.problem.filters
            said = f"{len(t.phases)} phases: one product, {t.filters} channels → {columns}, then its fold"
            tables = [offer_table(self.choices[0], self.threads, title=said)]
        else:
            tables = [
                offer_table(choice, self.threads, title=_phase_words(phase, choice))
                for phase, choice in zip(t.phases, self.choices, strict=True)
            ]
            tables += [] if t.covers else [Table((), title="all other pixels: no tap reaches them")]
        return Summary(f"{name} {t.layout.axes} {self.signature}", facts, tuple(tables))


def _product_of(transposed: Transposed, requested: str) -> Product | None:
    """Return how a transposed convolution is one product, where it is."""
    with importing:
        from .product import product_of  # it loads what folds, which no convolution needs

    return product_of(transposed, requested)


def _phase_words(phase: Phase, choice: Choice) -> str:
    """Return which pixels a phase computes, and how."""
    where = ", ".join(f"{s.start}::{s.step}" if s.step > 1 else f"{s.start}:" for s in phase.pixels)
    g = choice.problem.geometry
    return f"pixels [{where}]: a convolution with {g.kernel_size} taps, padding {g.padding}, dilation {g.dilation}"
