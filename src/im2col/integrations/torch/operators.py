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

from ...errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMESPACE = "im2col"
_library = torch.library.Library(_NAMESPACE, "DEF")
_KEYS = torch._C.DispatchKey
_EVERYBODY = torch._C.DispatchKeySet(_KEYS.BackendSelect)
_PLAIN_KEYS = frozenset((_EVERYBODY.raw_repr(), _EVERYBODY.add(_KEYS.ADInplaceOrView).raw_repr()))
"""Who has a say in every call of a thread, beside those who have one because of a tensor, where no mode is entered but
that of inference, which is the first."""
_PLAIN_TYPES = frozenset((Tensor, torch.nn.Parameter))
_is_traced, _keys_of_thread = torch.compiler.is_dynamo_compiling, torch._C._dispatch_tls_local_include_set
_records, _any_requires_grad = torch.is_grad_enabled, torch._C._any_requires_grad


def is_plain(*tensors: Tensor) -> bool:
    """Whether the dispatcher has nothing to do for a call with these tensors but what autograd does.

    They are on the CPU and of no subclass; nothing traces, transforms or differentiates forward; no mode is entered.
    """
    if _is_traced() or forward_ad._current_level >= 0:
        return False
    for tensor in tensors:
        if not (type(tensor) in _PLAIN_TYPES and tensor.is_cpu):
            return False
    return _keys_of_thread().raw_repr() in _PLAIN_KEYS


class Operator:
    """An operator ``im2col::name`` of torch, called as ``operator(*tensors, window)``.

    Parameters
    ----------
    signature : str
        In the language of torch's schemas: ``name(Tensor x, SymInt[] stride) -> Tensor``. Tensors come first; what is
        behind them is the window, here one tuple.
    kernel : callable
        ``kernel(*tensors, window)`` on the CPU, with tuples for lists; the result has memory of its own.
    fake : callable
        ``fake(*tensors, *window)`` for shapes and dtypes alone.
    backward : callable
        ``backward(ctx, grad)`` returns a gradient, or None, for each tensor.
    save : callable
        ``save(ctx, tensors, window, output)`` keeps what `backward` needs.

    Attributes
    ----------
    overload : callable
        ``overload(*tensors, *window)`` runs it by way of the dispatcher.
    """

    def __init__(
        self,
        signature: str,
        kernel: Callable[..., Any],
        fake: Callable[..., Any],
        backward: Callable[..., tuple[Any, ...]],
        save: Callable[[Any, tuple[Any, ...], tuple[Any, ...], Any], None],
    ) -> None:
        name = signature.partition("(")[0]
        arguments = signature[: signature.index("->")]
        count = arguments.count("Tensor")
        nothing = (None,) * (arguments.count(",") + 1 - count)
        qualified = f"{_NAMESPACE}::{name}"
        _library.define(signature)
        _library.impl(name, lambda *args: kernel(*args[:count], _tuples(args[count:])), "CPU")
        torch.library.register_fake(qualified, fake, lib=_library)
        torch.library.register_autograd(
            qualified,
            lambda ctx, grad: (*_gradients(backward, ctx, grad), *nothing),
            setup_context=lambda ctx, inputs, output: _save(save, ctx, inputs[:count], _tuples(inputs[count:]), output),
            lib=_library,
        )
        self._kernel = kernel
        self.overload = getattr(getattr(torch.ops, _NAMESPACE), name).default
        function = _recorded(name, kernel, backward, save)
        # Around what `apply` itself asks in Python, which is about transforms.
        self._record: Callable[..., Any] = super(torch.autograd.Function, function).apply  # type: ignore[misc]  # torch has no types

    def __call__(self, *args: Any) -> Any:
        """Run it, by way of the dispatcher where that has something to do."""
        *tensors, window = args
        given = [each for each in tensors if each is not None]
        return self.direct(*args) if is_plain(*given) else self.overload(*tensors, *window)

    def direct(self, *args: Any) -> Any:
        """Run it on tensors that are plain."""
        if _records() and _any_requires_grad(*args):
            return self._record(*args)
        return self._kernel(*args)


def _tuples(window: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what the dispatcher hands on, with tuples for lists, as they can be remembered."""
    return tuple(tuple(each) if type(each) is list else each for each in window)


def _recorded(
    name: str, kernel: Callable[..., Any], backward: Callable[..., tuple[Any, ...]], save: Callable[..., None]
) -> type[torch.autograd.Function]:
    """Return the kernel as a function that autograd records, as `torch.library.register_autograd` makes one."""

    def forward(ctx: Any, *args: Any) -> Any:
        result = kernel(*args)
        _save(save, ctx, args[:-1], args[-1], result)
        return result

    methods = {"forward": forward, "backward": lambda ctx, grad: (*_gradients(backward, ctx, grad), None)}
    return type(name, (torch.autograd.Function,), {key: staticmethod(method) for key, method in methods.items()})


def _save(save: Callable[..., None], ctx: Any, tensors: tuple[Any, ...], window: Any, output: Tensor) -> None:
    """Keep what a gradient needs, and which tensors are real where the result is complex."""
    ctx.real = [not (each is None or each.is_complex()) for each in tensors] if output.is_complex() else None
    save(ctx, tensors, window, output)


def _gradients(backward: Callable[..., tuple[Any, ...]], ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """Return a gradient for each tensor: of a real one the real part, as autograd wants it."""
    found = backward(ctx, grad)
    if ctx.real is None:
        return found
    pairs = zip(found, ctx.real, strict=True)
    return tuple(each.real if real and each is not None else each for each, real in pairs)


def core_form(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return one value for each axis as the library reads it fastest: an int where all are equal."""
    return values[0] if len(set(values)) == 1 else values


def core_padding(padding: tuple[int, ...]) -> int | tuple[tuple[int, int], ...]:
    """Return padding as the library reads it fastest: an int where all are equal, or (before, after) pairs."""
    return padding[0] if len(set(padding)) == 1 else tuple(zip(padding[::2], padding[1::2], strict=True))


def stops_of(sizes: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> list[Any]:
    """Return how many windows fit along each axis, with padding as (before, after) pairs one after the other.

    It is the library's rule for sizes that are symbols, too, of which its geometry knows nothing.

    Raises
    ------
    GeometryError
    """
    fields = sizes, kernel_size, stride, padding[::2], padding[1::2], dilation
    return checked_stops(
        [(n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, b, a, d in zip(*fields, strict=True)], sizes, kernel_size
    )


def checked_stops(stops: list[Any], sizes: Any, kernel_size: Any) -> list[Any]:
    """Return how many windows fit along each axis of a tensor without memory, if some do; nothing is asked of symbols.

    Raises
    ------
    GeometryError
    """
    if any(type(each) is int and each < 1 for each in stops):
        raise GeometryError(f"no window of a kernel {tuple(kernel_size)} fits an image of {tuple(sizes)} pixels")
    return stops
