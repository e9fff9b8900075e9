"""Operations of one stage: a convolution, and the gradient of its weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from ..algorithms import choose, offer_table
from ..algorithms.contract import Immediate
from ..errors import format_bytes
from ..importing import importing
from .operation import Input, Operation
from .words import cost_words, dtype_words, layer_words, tail_words, window_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..algorithms.contract import AtOnce, GradientRunner, Runner
    from ..spec.problem import Problem
    from ..summary import Summary
    from .operation import Weights

    Array = NDArray[Any]


class _OneStage(Operation):
    """What is one problem."""

    @property
    def problem(self) -> Problem:
        """The convolution."""
        return self.choices[0].problem

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self.problem.flops

    def prepare(self, weights: Weights) -> Any:
        """Return the function that the algorithm makes of the weights, if there are any."""
        return self.choices[0].offer.prepare(*weights)


class Convolution(_OneStage):
    """A convolution: its image, its weights, bias and scales."""

    @classmethod
    def decided(cls, problem: Problem, requested: str, threads: int, tuned: bool = False) -> Self:
        """Choose the algorithm of a problem: if it is to be tuned, that which was the fastest when measured."""
        p, choice = problem, choose(problem, requested, threads, tuned=tuned)
        image = Input("x", p.x_shape, p.x_dtype)
        spec = (p, requested, threads, tuned)
        return cls(spec, threads, (choice,), (image,), p.output_shape, p.dtype, choice.offer.workspace_bytes)

    def tuned(self, weights: Weights) -> Self:
        """Return it by the algorithm that is the fastest here, measured with these weights if that was not done yet."""
        with importing:
            from ..algorithms.tuning import tune

        problem, requested, threads, _ = self.spec
        tune(problem, requested, threads, weights)
        return self.decided(problem, requested, threads, True)

    def run(self, prepared: Runner, arrays: Sequence[Array], out: Array) -> None:
        """Overwrite `out`."""
        (x,), problem = arrays, self.choices[0].problem
        if not problem.is_canonical:
            x, out = problem.layout.to_canonical(x), problem.layout.to_canonical(out)
        prepared(x, out)

    def at_once(self, prepared: Runner, arrays: Sequence[Array], out: Array) -> Callable[[int, int], None] | None:
        """Return `run` as one call of the engine, for arrays like these by their identities; None where it is not."""
        view = self.problem.layout.to_canonical
        return prepared.at_once(view(arrays[0]), view(out)) if isinstance(prepared, Immediate) else None

    def one_call(self, arrays: Sequence[Array], weights: Weights, out: Array) -> AtOnce | None:
        """Return `prepare` and `run` as one call of the engine, for arrays like these; None where it is not."""
        (x,), (w, bias, scales), p, offer = arrays, weights, self.problem, self.choices[0].offer
        if offer.stage is None or w is None:
            return None
        view = p.layout.to_canonical
        stage = offer.stage(view(x), view(out), w.reshape(p.groups, p.filters // p.groups, *w.shape[1:], copy=False))
        return None if stage is None else stage.with_others([stage], (x, out, w), bias, scales)

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and weight read once, result written once."""
        return self.problem.bytes_moved

    def summary(self, name: str) -> Summary:
        """Return what a plan tells of it, under its maker's name."""
        with importing:
            from ..summary import Summary

        p = self.problem
        workspace, limit = format_bytes(self.workspace_bytes), format_bytes(p.workspace_limit)
        facts = (
            ("window", window_words(p)),
            ("layer", layer_words(p) + tail_words(p)),
            ("dtypes", dtype_words(p)),
            ("matrix", f"{p.geometry.positions} positions × {p.group_taps} taps a group"),
            ("cost", cost_words(self)),
            ("workspace", f"{workspace} (limit for matrix blocks {limit})"),
            ("threads", str(self.threads)),
        )
        table = offer_table(self.choices[0], self.threads)
        return Summary(f"{name} {p.layout.axes} {self.signature}", facts, (table,))


class WeightGradient(_OneStage):
    """The gradient of a convolution's weights, from its image and the gradient of its result."""

    @classmethod
    def decided(cls, problem: Problem, requested: str, threads: int) -> Self:
        """Choose the algorithm of a forward problem whose `w_dtype` is that of the gradient of its result."""
        p, choice = problem, choose(problem, requested, threads, gradient=True)
        inputs = Input("x", p.x_shape, p.x_dtype), Input("grad", p.output_shape, p.w_dtype)
        shape = (p.filters, p.group_channels, *p.geometry.kernel_size)
        spec = (p, requested, threads)
        return cls(spec, threads, (choice,), inputs, shape, p.dtype, choice.offer.workspace_bytes)

    def one_call(self, arrays: Sequence[Array], _: Weights, out: Array) -> AtOnce | None:
        """Return `prepare` and `run` as one call of the engine, for arrays like these; None where it is not."""
        x, grad = (self.problem.layout.to_canonical(each) for each in arrays)
        at_once = self.choices[0].offer.at_once
        return None if at_once is None else at_once(x, grad, out)

    def run(self, prepared: GradientRunner, arrays: Sequence[Array], out: Array) -> None:
        """Overwrite `out`."""
        x, grad = (self.problem.layout.to_canonical(each) for each in arrays)
        prepared(x, grad, out)

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and gradient read once, result written once."""
        read = sum(math.prod(each.shape) * each.dtype.itemsize for each in self.inputs)
        return read + math.prod(self.output_shape) * self.dtype.itemsize

    @property
    def signature(self) -> str:
        """What it takes and gives, in shapes."""
        p = self.problem
        return f"{p.x_shape}, {p.output_shape} → kernel {p.geometry.kernel_size}"

    def summary(self, name: str) -> Summary:
        """Return what a plan tells of it, under its maker's name."""
        with importing:
            from ..summary import Summary

        p = self.problem
        facts = (
            ("window", window_words(p)),
            ("layer", layer_words(p)),
            ("dtypes", dtype_words(p)),
            ("sum", f"over {p.batch} × {p.geometry.positions} positions"),
            ("cost", cost_words(self)),
            ("workspace", format_bytes(self.workspace_bytes)),
            ("threads", str(self.threads)),
        )
        table = offer_table(self.choices[0], self.threads, gradient=True)
        return Summary(f"{name} {p.layout.axes} {p.x_shape}, {p.output_shape} → {self.output_shape}", facts, (table,))
