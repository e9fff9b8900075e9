"""How onnx's evaluator calls an operator: attributes by the model's opset, inputs by the schema, errors by the node."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from onnx import NodeProto, defs, helper
from onnx.reference.op_run import OpRun

from ...errors import ArgumentError, DTypeError, Im2colError, ShapeError, naming, words_of
from ...spec.arrays import as_array
from .node import Node
from .table import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

OLDEST = 6
"""The first opset whose operators over windows have the attributes of today."""


class Operator(OpRun):  # type: ignore[misc]  # the class of a library without types
    """An operator of the standard's main domain, for every opset; a subclass has the name of one, and its function.

    The evaluator knows the schemas of the newest opset alone. Here attributes, their defaults, inputs and their types
    are those of the model's.
    """

    op_domain = ""
    compute: Callable[..., Array | tuple[Array, ...]]

    def __init__(self, onnx_node: NodeProto, run_params: dict[str, Any], schema: Any = None) -> None:
        where = repr(onnx_node.name) if onnx_node.name else f"with output {onnx_node.output[0]!r}"
        self._label = f"{onnx_node.op_type} (node {where})"
        with naming(self._label):
            schema = schema or _schema(onnx_node.op_type, run_params["opsets"][self.op_domain])
            _check_attributes(onnx_node, schema)
        super().__init__(onnx_node, run_params, schema)
        self._node = Node(schema.since_version, len(onnx_node.output))
        self._needed, self._inputs = schema.min_input, _inputs(schema)

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
            arrays = self._checked(inputs)
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

    def _checked(self, inputs: tuple[Any, ...]) -> list[Array | None]:
        """Return the inputs as arrays of types that the schema lets go together; those left out as None."""
        if not self._needed <= len(inputs) <= len(self._inputs):
            raise ShapeError(f"it has {len(inputs)} inputs, but takes {self._needed} to {len(self._inputs)}")
        arrays: list[Array | None] = []
        bound: dict[str, str] = {}
        for value, (name, variable, choices, optional) in zip(inputs, self._inputs, strict=False):
            if value is None:
                if not optional:
                    raise ShapeError(f"input {name} is missing")
                arrays.append(None)
                continue
            array = as_array(name, value)
            kind = _type_of(array.dtype)
            if kind not in choices:
                raise DTypeError(
                    f"input {name} is {kind}, but may be {', '.join(sorted(choices))} in version {self._node.version} "
                    "of the operator"
                )
            if bound.setdefault(variable, kind) != kind:
                raise DTypeError(f"input {name} is {kind}, but must be {bound[variable]} as those before it")
            arrays.append(array)
        return arrays


class _Input(NamedTuple):
    """An input of a schema: its name, what inputs of the same type share, which types those may be."""

    name: str
    variable: str
    choices: frozenset[str]
    optional: bool


def _inputs(schema: Any) -> list[_Input]:
    """Return a schema's inputs."""
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    optional = defs.OpSchema.FormalParameterOption.Optional
    return [
        _Input(
            each.name, each.type_str, frozenset(allowed.get(each.type_str, [each.type_str])), each.option == optional
        )
        for each in schema.inputs
    ]


@cache
def _type_of(dtype: np.dtype[Any]) -> str:
    """Return a dtype as schemas write it, such as ``tensor(float16)``."""
    try:
        number = helper.np_dtype_to_tensor_dtype(dtype)
    except (KeyError, ValueError) as error:
        raise DTypeError(f"{dtype} is no type of ONNX") from error
    return f"tensor({helper.tensor_dtype_to_string(number).removeprefix('TensorProto.').lower()})"


def _schema(name: str, opset: int) -> Any:
    """Return an operator's schema in an opset."""
    try:
        schema = defs.get_schema(name, opset, "")
    except defs.SchemaError:
        schema = None
    if schema is None or schema.deprecated:
        raise ArgumentError(f"opset {opset} has no operator {name}")
    if opset < OLDEST:
        raise ArgumentError(f"opset {opset} is older than {OLDEST}, the oldest that is served; convert the model")
    return schema


def _check_attributes(node: NodeProto, schema: Any) -> None:
    """Refuse attributes that the schema does not know, or that are of another kind, and ask for those it wants."""
    version = f"in version {schema.since_version} of the operator"
    for attribute in node.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            raise ArgumentError(f"attribute {attribute.name} is unknown {version}; it has {sorted(schema.attributes)}")
        if int(known.type) != attribute.type:
            raise ArgumentError(f"attribute {attribute.name} must be of kind {known.type.name} {version}")
    for name, known in schema.attributes.items():
        if known.required and name not in {attribute.name for attribute in node.attribute}:
            raise ArgumentError(f"attribute {name} is missing {version}")


def classes() -> list[type]:
    """Return a class for each operator, of its name, as the evaluator looks for them."""
    return [
        type(name, (Operator,), {"__doc__": compute.__doc__, "__module__": __name__, "compute": staticmethod(compute)})
        for name, compute in OPERATORS.items()
    ]
