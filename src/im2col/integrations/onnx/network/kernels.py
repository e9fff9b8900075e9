"""What runs a step: element by element, a function of arrays, a layer with its plans, or onnx's own evaluator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from ....errors import ArgumentError, Im2colError, MemoryBudgetError, class_of, words_of
from ....spec.arrays import is_registered
from ..evaluator import classes
from ..node import Node
from ..order import order_of
from ..signature import Signature
from ..table import OPERATORS
from .affine import AFFINE
from .arrays import ARRAYS, VIEWS, joined
from .elementwise import ELEMENTWISE, result_shape
from .memory import wanted
from .quantization import INTEGERS, dequantize, quantize
from .recurrent import RECURRENT
from .sums import SUMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .graph import Step
    from .memory import Want

    Array = NDArray[Any]

FUNCTIONS: dict[str, Callable[..., Any]] = {**OPERATORS, **ARRAYS, **SUMS, **RECURRENT, **VIEWS}


ALL = 1 << 30
"""Inputs of which a result may be a view: more than there are."""


class Memory(Protocol):
    """Where a kernel gets room for its results."""

    def new(self, want: Want) -> Array:
        """Return room for the step's first result."""

    def over(self, inputs: Sequence[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """Return an input that nothing else reads and that has that shape and dtype, to be overwritten; or None."""


class Kernel(Protocol):
    """What runs a step.

    Attributes
    ----------
    shows : int
        A result may be a view of so many of its inputs, the first ones.
    kind : str
        Who computes: ``"plan"``, ``"im2col"``, ``"numpy"``, ``"graph"`` or ``"onnx"``.
    """

    shows: int
    kind: str

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the results of a step's inputs, None for those left out, and of what its subgraphs capture."""


def kernel_of(step: Step) -> Kernel:
    """Return what runs a step."""
    if not step.domain:
        if step.operator in ELEMENTWISE:
            return _Elementwise(step)
        if step.operator in FUNCTIONS:
            return _Function(step)
        if step.operator in _OTHERS:
            return _OTHERS[step.operator](step)
    return Evaluated(step)


class Evaluated:
    """Any operator: onnx's evaluator runs it, with the operators of this library in its subgraphs."""

    shows = ALL
    kind = "onnx"

    def __init__(self, step: Step) -> None:
        self._names = (*step.inputs, *step.captured)
        given = [helper.make_empty_tensor_value_info(name) for name in step.reads]
        results = [helper.make_empty_tensor_value_info(name) for name in step.writes]
        opsets = {"": onnx.defs.onnx_opset_version(), **step.opsets}
        node = onnx.NodeProto()
        node.CopyFrom(step.proto)
        node.input[:] = step.inputs
        if step.operator == "Scatter":  # as it was called before opset 11, from which on the evaluator knows it
            node.op_type, opsets[""] = "ScatterElements", 11
        model = helper.make_model(
            helper.make_graph([node], "step", given, results),
            opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        )
        try:
            self._evaluator = ReferenceEvaluator(model, new_ops=classes())
        except Exception as cause:  # it tells those who write operators
            raise ArgumentError("onnx's evaluator does not run this operator, nor does this library") from cause
        self._outputs = step.outputs

    def __call__(self, inputs: Sequence[Any], _: Memory, /) -> Sequence[Any]:
        """Return the results."""
        feeds = {name: x for name, x in zip(self._names, inputs, strict=True) if name}
        results = iter(self._evaluator.run(None, feeds))
        return [_plain(next(results)) if name else None for name in self._outputs]


def _plain(value: Any) -> Any:
    """Return a scalar as an array."""
    return np.asarray(value) if isinstance(value, (np.generic, int, float)) else value


_NO_NUMBERS = np.dtype(object)
"""Of sequences, as of texts."""


class _Numeric(ABC):
    """An operator of arrays of numbers; texts, sequences and what is left out of an optional go to onnx's evaluator."""

    shows = 0
    kind = "numpy"

    def __init__(self, step: Step) -> None:
        self._step = step
        self._signature = None if step.operator == AFFINE else Signature.of(step.operator, step.opset)
        self._attributes = {name: value for name, value in step.attributes.items() if value is not None}
        self._types: list[Any] | None = None
        self._evaluated: Evaluated | None = None

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the results, once the types of the inputs are known to go together."""
        types = [None if x is None else getattr(x, "dtype", _NO_NUMBERS) for x in inputs]
        if types != self._types:
            if any(each is not None and each.kind in "OSU" for each in types):
                if self._evaluated is None:
                    self._evaluated = Evaluated(self._step)
                return self._evaluated(inputs, memory)
            if self._signature is not None:
                self._signature.arrays(inputs)
            self._types = types
        return self._run(inputs, memory)

    @abstractmethod
    def _run(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the results of arrays whose types go together."""


class _Elementwise(_Numeric):
    """An operator that works element by element."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self._operator = ELEMENTWISE[step.operator]

    def _run(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        operator = self._operator
        arrays = [x for x in inputs if x is not None]
        shape = result_shape([x.shape for x in arrays])
        dtype = np.dtype(bool) if operator.bools else inputs[operator.like].dtype
        out = memory.over(inputs, shape, dtype) if operator.over else None
        if out is None:
            orders = [order_of(x) for x in arrays if x.shape == shape]
            out = memory.new(wanted(shape, dtype, next((order for order in orders if order), None)))
        operator.compute(*inputs, out=out, **self._attributes)
        return (out,)


class _Function(_Numeric):
    """An operator that is a function of arrays."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.shows = int(step.operator in VIEWS)
        self.kind = "im2col" if step.operator in OPERATORS else "numpy"
        self._function = FUNCTIONS[step.operator]
        self._node = Node(step.version, len(step.outputs))

    def _run(self, inputs: Sequence[Any], _: Memory, /) -> Sequence[Any]:
        result = self._function(self._node, *inputs, **self._attributes)
        return result if isinstance(result, tuple) else (result,)


class _Cast(_Numeric):
    """Cast: numbers to numbers that NumPy has; others go to onnx's evaluator."""

    shows = 1

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        try:
            self._dtype = np.dtype(helper.tensor_dtype_to_np_dtype(step.attributes["to"]))
        except (KeyError, ValueError, TypeError) as cause:
            raise ArgumentError(f"there is no type {step.attributes['to']} to cast to") from cause

    def _run(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        (x,) = inputs
        if any(each.kind not in "biuf" or is_registered(each) for each in (x.dtype, self._dtype)):
            self._evaluated = self._evaluated or Evaluated(self._step)
            return self._evaluated(inputs, memory)
        return (x.astype(self._dtype, copy=False),)


class _Concat(_Numeric):
    """Concat: in room of the network, where the axes lie in memory as those of an input do."""

    def _run(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        axis, shape = joined(inputs, self._attributes["axis"])
        order = next((order for order in map(order_of, inputs) if order), None)
        out = memory.new(wanted(shape, inputs[0].dtype, order))
        return (np.concatenate(inputs, axis, out=out),)


class _Dropout(_Numeric):
    """Dropout: at inference nothing is dropped."""

    shows = 1

    def _run(self, inputs: Sequence[Any], _: Memory, /) -> Sequence[Any]:
        if len(inputs) > 2 and inputs[2] is not None and inputs[2].any():
            raise ArgumentError("training_mode is on, but a network is for inference; turn it off")
        return (inputs[0], np.ones(inputs[0].shape, bool))[: len(self._step.outputs)]


class _Quantization(_Numeric):
    """QuantizeLinear and DequantizeLinear: integers that NumPy has; others, and blocks, go to onnx's evaluator."""

    def _run(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        x, scale, zero = (*inputs, None)[:3]
        given, there = self._attributes, self._step.operator == "QuantizeLinear"
        integers = (np.dtype(np.uint8) if zero is None else zero.dtype) if there else x.dtype
        told = given.get("output_dtype", 0) or given.get("precision", 0) or given.get("block_size", 0)
        if integers not in INTEGERS or told:
            self._evaluated = self._evaluated or Evaluated(self._step)
            return self._evaluated(inputs, memory)
        return ((quantize if there else dequantize)(x, scale, zero, given.get("axis", 1)),)


_OTHERS: dict[str, Callable[[Step], Kernel]] = {
    "Cast": _Cast,
    "Concat": _Concat,
    "DequantizeLinear": _Quantization,
    "Dropout": _Dropout,
    "QuantizeLinear": _Quantization,
}


def error_of(error: Exception, step: Step) -> Im2colError:
    """Return an error of this library that names a step; one that names a step of its chain stays."""
    if isinstance(error, Im2colError) and error.operation in {each.label for each in step.chain}:
        return error
    if isinstance(error, Im2colError):  # which may name a function of this library that the operator called
        named = type(error)(error.message)
    elif isinstance(error, MemoryError):
        named = MemoryBudgetError("its result does not fit the memory; use a smaller input")
    else:
        named = ArgumentError(words_of(error) or class_of(error))
    named.name_operation(step.label)
    return named
