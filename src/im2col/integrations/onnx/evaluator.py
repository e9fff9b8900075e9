"""How onnx's evaluator calls an operator: attributes by the model's opset, inputs by the schema, errors by the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx.reference.op_run import OpRun

from ...errors import ArgumentError, Im2colError, naming, words_of
from .node import Node, label
from .qonnx import Im2Col
from .signature import Signature
from .table import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import NodeProto

    Array = NDArray[Any]


class Operator(OpRun):  # type: ignore[misc]  # the class of a library without types
    """An operator of the standard's main domain, for every opset; a subclass has the name of one, and its function.

    The evaluator knows the schemas of the newest opset alone. Here attributes, their defaults, inputs and their types
    are those of the model's.
    """

    op_domain = ""
    compute: Callable[..., Array | tuple[Array, ...]]

    def __init__(self, onnx_node: NodeProto, run_params: dict[str, Any], schema: Any = None) -> None:
        self._label = label(onnx_node)
        with naming(self._label):
            opset = run_params["opsets"][self.op_domain]
            self._signature = Signature(schema) if schema else Signature.of(onnx_node.op_type, opset)
            self._signature.check_attributes(onnx_node)
        super().__init__(onnx_node, run_params, self._signature.schema)
        self._node = Node(self._signature.version, len(onnx_node.output))

    def run(self, *inputs: Any, **context: Any) -> tuple[Array, ...]:
        """Run the operator; an error of this library names the node."""
        try:
            result: tuple[Array, ...] = super().run(*inputs, **context)
        except TypeError as error:  # what the evaluator makes of a TypeError, ours too
            if isinstance(error.__cause__, Im2colError):
                raise error.__cause__ from None
            raise
        return result

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
        try:
            arrays = self._signature.arrays(inputs)
            given = {name: value for name, value in attributes.items() if value is not None}
            result = self.compute(self._node, *arrays, **given)
        except Im2colError as error:  # which may name a function of this library that the operator called
            named = type(error)(error.message)
            named.name_operation(self._label)
            raise named from error
        except (ValueError, OverflowError) as error:  # NumPy's, of numbers that no shape can have
            beyond = ArgumentError(f"NumPy refuses a shape: {words_of(error)}")
            beyond.name_operation(self._label)
            raise beyond from error
        return result if isinstance(result, tuple) else (result,)


def classes() -> list[type]:
    """Return a class for each operator, of its name, as the evaluator looks for them."""
    standard = [
        type(name, (Operator,), {"__doc__": compute.__doc__, "__module__": __name__, "compute": staticmethod(compute)})
        for name, compute in OPERATORS.items()
    ]
    return [*standard, Im2Col]
