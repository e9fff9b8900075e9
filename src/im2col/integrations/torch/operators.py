"""Operators of torch: what is registered for each, and the way around the dispatcher where it has nothing to do.

An operator is a kernel on CPU tensors, its twin that knows shapes alone, and its gradient, made of other operators, so
that gradients have gradients. torch's dispatcher hands a call on to whoever has a say in it: autograd, transforms,
tracers, modes. Each time it asks Python, that takes longer than a small layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMESPACE = "im2col"
_library = torch.library.Library(_NAMESPACE, "DEF")
_NO_MODES = torch._C._dispatch_tls_local_include_set()
"""Who has a say in every call of this thread, beside those who have one because of a tensor."""
_PLAIN_TYPES = frozenset((Tensor, torch.nn.Parameter))


def is_plain(*tensors: Tensor | None) -> bool:
    """Whether the dispatcher has nothing to do for a call with these tensors but what autograd does.

    They are on the CPU and of no subclass; nothing traces, transforms or differentiates forward; no mode is entered.
    """
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        return False
    for tensor in tensors:
        if tensor is not None and not (type(tensor) in _PLAIN_TYPES and tensor.is_cpu):
            return False
    return torch._C._dispatch_tls_local_include_set() == _NO_MODES  # type: ignore[no-any-return]  # torch has no types


class Operator:
    """An operator ``im2col::name`` of torch.

    Parameters
    ----------
    signature : str
        In the language of torch's schemas: ``name(Tensor x, SymInt[] stride) -> Tensor``. Tensors come first.
    kernel : callable
        On CPU tensors, and tuples for lists; the result has memory of its own.
    fake : callable
        As `kernel`, for shapes and dtypes alone.
    backward : callable, optional
        ``backward(ctx, *grads)`` returns a gradient, or None, for each argument.
    save : callable, optional
        ``save(ctx, inputs, output)`` keeps what `backward` needs.
    """

    def __init__(
        self,
        signature: str,
        kernel: Callable[..., Any],
        fake: Callable[..., Any],
        backward: Callable[..., Any],
        save: Callable[..., None],
    ) -> None:
        name = signature.partition("(")[0]
        qualified = f"{_NAMESPACE}::{name}"
        _library.define(signature)
        _library.impl(name, lambda *args: kernel(*_tuples(args)), "CPU")
        torch.library.register_fake(qualified, fake, lib=_library)
        torch.library.register_autograd(
            qualified,
            backward,
            setup_context=lambda ctx, inputs, output: save(ctx, _tuples(inputs), output),
            lib=_library,
        )
        self.overload = getattr(getattr(torch.ops, _NAMESPACE), name).default
        self.kernel = kernel
        self.tensors = signature.count("Tensor", 0, signature.index("->"))
        self._recorded = _recorded(name, kernel, backward, save)

    def __call__(self, *args: Any) -> Any:
        """Run it, by way of the dispatcher where that has something to do."""
        return self.direct(*args) if is_plain(*args[: self.tensors]) else self.overload(*args)

    def direct(self, *args: Any) -> Any:
        """Run it on tensors that are plain."""
        if torch._C._any_requires_grad(*args) and torch.is_grad_enabled():
            return self._recorded.apply(*args)
        return self.kernel(*args)


def _tuples(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what the dispatcher hands on, with tuples for lists, as they can be remembered."""
    return tuple(tuple(each) if type(each) is list else each for each in args)


def _recorded(
    name: str, kernel: Callable[..., Any], backward: Callable[..., Any], save: Callable[..., None]
) -> type[torch.autograd.Function]:
    """Return the kernel as a function that autograd records, as `torch.library.register_autograd` makes one."""

    def forward(ctx: Any, *args: Any) -> Any:
        result = kernel(*args)
        save(ctx, args, result)
        return result

    return type(
        name, (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )


def core_form(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return one value for each axis as the library reads it fastest: an int where all are equal."""
    return values[0] if len(set(values)) == 1 else values


def core_padding(padding: tuple[int, ...]) -> int | tuple[tuple[int, int], ...]:
    """Return padding as the library reads it fastest: an int where all are equal, or (before, after) pairs."""
    return padding[0] if len(set(padding)) == 1 else tuple(zip(padding[::2], padding[1::2], strict=True))


def stops_of(sizes: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> list[Any]:
    """Return how many windows fit along each axis, with padding as (before, after) pairs one after the other.

    It is the library's rule for sizes that are symbols, too, of which its geometry knows nothing.
    """
    fields = sizes, kernel_size, stride, padding[::2], padding[1::2], dilation
    return [(n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, b, a, d in zip(*fields, strict=True)]
