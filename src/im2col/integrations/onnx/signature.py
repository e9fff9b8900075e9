"""What the schema of an operator allows in the opset of a model: its attributes, and its inputs by number and type."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from onnx import NodeProto, defs, helper

from ...errors import ArgumentError, DTypeError, ShapeError
from ...spec.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

OLDEST = 6
"""The first opset whose operators over windows have the attributes of today."""


class _Input(NamedTuple):
    """An input of a schema: its name, what inputs of the same type share, which types those may be."""

    name: str
    variable: str
    choices: frozenset[str]
    optional: bool


class Signature:
    """An operator as an opset has it.

    Parameters
    ----------
    schema
        Onnx's.

    Attributes
    ----------
    version : int
        The opset that last changed it, up to the model's.
    most_outputs : int
    schema
        As given.
    """

    def __init__(self, schema: Any) -> None:
        self.version: int = schema.since_version
        self.schema = schema
        allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
        kinds = defs.OpSchema.FormalParameterOption
        self._inputs = [
            _Input(
                each.name,
                each.type_str,
                frozenset(allowed.get(each.type_str, [each.type_str])),
                each.option == kinds.Optional,
            )
            for each in schema.inputs
        ]
        self.most_outputs: int = schema.max_output
        self._variadic = bool(schema.inputs) and schema.inputs[-1].option == kinds.Variadic
        self._mixed = self._variadic and not schema.inputs[-1].is_homogeneous

    @classmethod
    @cache
    def of(cls, operator: str, opset: int, domain: str = "") -> Signature:
        """Return that of an operator in an opset.

        Raises
        ------
        ArgumentError
            If there is none.
        """
        try:
            schema = defs.get_schema(operator, opset, domain)
        except defs.SchemaError:
            schema = None
        if schema is None or schema.deprecated:
            of = f" of the domain {domain!r}" if domain else ""
            raise ArgumentError(f"opset {opset}{of} has no operator {operator}")
        if opset < OLDEST and not domain:
            raise ArgumentError(f"opset {opset} is older than {OLDEST}, the oldest that is served; convert the model")
        return cls(schema)

    def check_attributes(self, node: NodeProto) -> None:
        """Refuse attributes that the schema does not know, or that are of another kind, and ask for those it wants."""
        version = f"in version {self.version} of the operator"
        for attribute in node.attribute:
            known = self.schema.attributes.get(attribute.name)
            if known is None:
                raise ArgumentError(
                    f"attribute {attribute.name} is unknown {version}; it has {sorted(self.schema.attributes)}"
                )
            if int(known.type) != attribute.type:
                raise ArgumentError(f"attribute {attribute.name} must be of kind {known.type.name} {version}")
        for name, known in self.schema.attributes.items():
            if known.required and name not in {attribute.name for attribute in node.attribute}:
                raise ArgumentError(f"attribute {name} is missing {version}")

    def attributes(self, node: NodeProto) -> dict[str, Any]:
        """Return the attributes of a node, with their defaults; texts as `str`."""
        defaults = [each.default_value for each in self.schema.attributes.values() if each.default_value.type]
        return {each.name: _value(each) for each in (*defaults, *node.attribute)}

    def check_count(self, count: int) -> None:
        """Refuse more or fewer inputs than the schema has."""
        least, most = self.schema.min_input, len(self._inputs)
        if count < least or (count > most and not self._variadic):
            raise ShapeError(f"it has {count} inputs, but takes {least} to {most}")

    def arrays(self, inputs: Sequence[Any]) -> list[Array | None]:
        """Return the inputs as arrays of types that the schema lets go together; those left out as None.

        Raises
        ------
        ShapeError, DTypeError
            If one is missing, or of a type that does not go with the others.
        """
        self.check_count(len(inputs))
        arrays: list[Array | None] = []
        bound: dict[str, str] = {}
        for number, value in enumerate(inputs):
            name, variable, choices, optional = self._inputs[min(number, len(self._inputs) - 1)]
            if value is None:
                if not optional:
                    raise ShapeError(f"input {name} is missing")
                arrays.append(None)
                continue
            array = as_array(name, value)
            kind = _type_of(array.dtype)
            if kind not in choices:
                raise DTypeError(
                    f"input {name} is {kind}, but may be {', '.join(sorted(choices))} in version {self.version} "
                    "of the operator"
                )
            if bound.setdefault(variable, kind) != kind and not self._mixed:
                raise DTypeError(f"input {name} is {kind}, but must be {bound[variable]} as those before it")
            arrays.append(array)
        return arrays


@cache
def _type_of(dtype: np.dtype[Any]) -> str:
    """Return a dtype as schemas write it, such as ``tensor(float16)``."""
    try:
        number = helper.np_dtype_to_tensor_dtype(dtype)
    except (KeyError, ValueError) as error:
        raise DTypeError(f"{dtype} is no type of ONNX") from error
    return f"tensor({helper.tensor_dtype_to_string(number).removeprefix('TensorProto.').lower()})"


def _value(attribute: Any) -> Any:
    """Return what an attribute holds."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple)) or type(value).__name__.startswith("Repeated"):
        return [each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else each for each in value]
    return value
