"""CUDA graphs: a network's thousands of launches become one, for inputs of shapes that come again."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

Capture = Callable[[Callable[[], Any]], tuple[Callable[[], None], Any]]
"""work -> (replay, outputs): `replay()` does the same work on the same memory and fills the same outputs."""

log = logging.getLogger(__name__)


def cuda_capture(device: torch.device) -> Capture:
    """Capture on a CUDA device; all graphs of one capture share their memory, as one runs at a time."""
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        with torch.cuda.device(device):
            before, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(before)
            with torch.cuda.stream(aside):
                work()  # what is made once, as prompt keys and cuDNN's choices are, must not become part of the graph
            before.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                outputs = work()
        return graph.replay, outputs

    return capture


@dataclass(frozen=True)
class Recording:
    """inputs: where a call's tensors are copied before `replay`, which fills `outputs`."""

    inputs: list[Tensor]
    outputs: Any
    replay: Callable[[], None]


class Graphs:
    """Calls networks by replaying a recording, made at the first call with such shapes.

    A recording reads weights, and tensors that the network keeps between calls, where they lay when it was made: no
    network that moves may be called so, and `clear` must follow any change in how one computes. The least recently
    used of more than `most` recordings goes. If one can't be made, the log says so once, the memory is given back and
    networks are called as they are.
    """

    def __init__(self, new_capture: Callable[[], Capture], most: int = 16) -> None:
        self._new_capture = new_capture
        self._most = most
        self._works = True
        self.clear()

    def clear(self) -> None:
        """Give all memory back; graphs of another pool come at the next call."""
        self._capture: Capture | None = None
        self._recordings: OrderedDict[Hashable, Recording] = OrderedDict()

    def __len__(self) -> int:
        return len(self._recordings)

    def __call__(self, network: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """What `network(*args, **kwargs)` returns; tensors may be anywhere in tuples, lists and dicts."""
        leaves, structure = tree_flatten((args, kwargs))
        key = (id(network), structure, tuple(map(signature, leaves)))
        if key not in self._recordings and self._works:
            self._record(key, network, leaves, structure)
        if key not in self._recordings:
            return network(*args, **kwargs)
        self._recordings.move_to_end(key)
        recording = self._recordings[key]
        for buffer, given in zip(recording.inputs, filter(torch.is_tensor, leaves), strict=True):
            buffer.copy_(given, non_blocking=True)
        recording.replay()
        return tree_map_only(Tensor, torch.clone, recording.outputs)  # the next replay fills the same memory again

    def _record(self, key: Hashable, network: nn.Module, leaves: list[Any], structure: Any) -> None:
        inputs = [leaf.clone() if torch.is_tensor(leaf) else leaf for leaf in leaves]
        args, kwargs = tree_unflatten(inputs, structure)
        try:
            self._capture = self._capture or self._new_capture()
            replay, outputs = self._capture(lambda: network(*args, **kwargs))
        except RuntimeError as error:
            log.warning("CUDA graphs are not used: %s", str(error).strip().partition("\n")[0])
            self._works = False
            self.clear()
            return
        self._recordings[key] = Recording([x for x in inputs if torch.is_tensor(x)], outputs, replay)
        while len(self._recordings) > self._most:
            self._recordings.popitem(last=False)


def signature(leaf: Any) -> Hashable:
    """What must be equal for a recording to serve; strides need not, as inputs are copied."""
    return (leaf.shape, leaf.dtype, leaf.device) if torch.is_tensor(leaf) else leaf
