"""Compiled layers: made while nothing else is to be done; until then, and for other shapes, layers run as they are."""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from inference_server.models.attention import CallContext
from inference_server.models.feed_forward import PiecewiseFeedForward
from inference_server.models.motion import TemporalTransformer

KINDS = (ResnetBlock2D, PiecewiseFeedForward, TemporalTransformer)
"""Layers that repeat and in which compilation fuses much.

Transformer blocks stay as they are: their attention looks up references by name, which would compile each anew.
"""

MOST_SHAPES = 8
"""Per layer; a whole clip needs two or three, odd ones come with parts that are computed again."""

RECOMPILES = 256
"""Of one kind of layer, beyond which torch would give it up: widths, sizes and row counts of both networks."""

Function = Callable[..., Any]
log = logging.getLogger(__name__)


def torch_compile(function: Function) -> Function:
    """For the shapes it is called with; layers of one kind and shape share what was compiled."""
    torch._dynamo.config.recompile_limit = max(RECOMPILES, torch._dynamo.config.recompile_limit)
    return torch.compile(function, dynamic=False)


@dataclass(frozen=True)
class Tensorlike:
    """All that a compiled function asks of a tensor before it runs."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, x: torch.Tensor) -> "Tensorlike":
        return cls(tuple(x.shape), x.stride(), x.dtype, x.device)

    def make(self) -> torch.Tensor:
        size = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        return torch.zeros(size, dtype=self.dtype, device=self.device).as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Call:
    """The shapes of one call; `frames` as the network's context had it."""

    frames: int
    leaves: tuple[Hashable, ...]
    structure: TreeSpec

    @classmethod
    def of(cls, frames: int, *args: Any, **kwargs: Any) -> "Call":
        leaves, structure = tree_flatten((args, kwargs))
        return cls(frames, tuple(Tensorlike.of(x) if torch.is_tensor(x) else x for x in leaves), structure)

    def arguments(self) -> Any:
        """(args, kwargs) with zeros for tensors."""
        leaves = [leaf.make() if isinstance(leaf, Tensorlike) else leaf for leaf in self.leaves]
        return tree_unflatten(leaves, self.structure)


class Region:
    """A layer's forward, compiled for some shapes; notes the shapes it would have to be compiled for."""

    def __init__(self, layer: nn.Module, context: CallContext, compile_: Callable[[Function], Function]) -> None:
        self._eager: Function = layer.forward
        self._compiled: Function | None = None
        self._compile = compile_
        self._context = context
        self._ready: set[Call] = set()
        self.wanted: dict[Call, None] = {}
        layer.forward = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._context.compiled:
            return self._eager(*args, **kwargs)
        call = Call.of(self._context.frames, *args, **kwargs)
        if call in self._ready and self._compiled is not None:
            return self._compiled(*args, **kwargs)
        if len(self._ready) + len(self.wanted) < MOST_SHAPES:
            self.wanted[call] = None
        return self._eager(*args, **kwargs)

    @torch.no_grad()
    def warm(self, call: Call) -> None:
        """Compile for one of `wanted`, which takes seconds. Raises what the compiler raises."""
        self._compiled = self._compiled or self._compile(self._eager)
        self._context.frames = call.frames
        args, kwargs = call.arguments()
        self._compiled(*args, **kwargs)
        self._ready.add(call)
        del self.wanted[call]

    def give_up(self) -> None:
        """Back to the layer as it is."""
        self._ready.clear()
        self.wanted.clear()


class Regions:
    """The layers of some networks that are worth compiling.

    They run compiled where the network's context says so. Networks that were given to another `Regions` before keep
    the layers compiled that are.
    """

    def __init__(
        self,
        networks: Sequence[tuple[nn.Module, CallContext]],
        compile_: Callable[[Function], Function] = torch_compile,
    ) -> None:
        self._regions = [
            layer.forward if isinstance(layer.forward, Region) else Region(layer, context, compile_)
            for network, context in networks
            for layer in outermost(network)
        ]
        self._works = True

    def warm(self) -> Iterator[None]:
        """Compile for the shapes that calls have had so far, a layer at a time; what is done is used at once.

        If the compiler fails, the log says so and all layers stay as they are.
        """
        for region in self._regions:
            for call in list(region.wanted if self._works else ()):
                try:
                    region.warm(call)
                except Exception as error:  # a compiler is missing, or can't do it: whatever it says
                    reason = str(error).strip().partition("\n")[0]
                    log.warning("Layers run uncompiled: %s: %s", type(error).__name__, reason)
                    self._works = False
                    for each in self._regions:
                        each.give_up()
                    return
                yield


def outermost(module: nn.Module) -> Iterator[nn.Module]:
    """Modules of KINDS that are not inside another one."""
    for child in module.children():
        if isinstance(child, KINDS):
            yield child
        else:
            yield from outermost(child)
