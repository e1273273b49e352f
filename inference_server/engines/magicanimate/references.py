"""What the appearance encoder sees in the reference picture, for every timestep of a schedule."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import torch
from torch import Tensor

from inference_server.models.unet import AppearanceEncoder

Tokens = dict[str, Tensor]
"""Block path -> reference tokens (1, tokens, channels)."""


Encode = Callable[[Sequence[int]], Generator[Tokens, None, None]]
"""Timesteps -> their tokens in turn; the encoder is on the device from the first to the last."""


class ReferenceStore:
    """Reference tokens of whole schedules, kept on the CPU between jobs, least recently used ones dropped first.

    About 14 MB in half precision per timestep at 512 x 512 and real size, so some 350 MB for 25 steps. Of a schedule
    that is larger than `max_bytes` the first steps are kept, and each of the others is encoded when it comes.
    """

    def __init__(self, max_bytes: int = 2**30) -> None:
        self.max_bytes = max_bytes
        self._schedules: OrderedDict[str, list[Tokens]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(map(size_of, self._schedules.values()))

    def get(
        self, latents: Tensor, timesteps: Sequence[int], encode: Encode, on_step: Callable[[int], None]
    ) -> Callable[[int], Tokens]:
        """Step -> its tokens; `on_step(steps encoded)` may raise to cancel."""
        key = hashlib.sha256(latents.float().cpu().numpy().tobytes() + repr(list(timesteps)).encode()).hexdigest()
        if key not in self._schedules:
            self._schedules[key] = self._encode(timesteps, encode, on_step)
        self._schedules.move_to_end(key)
        kept = self._schedules[key]

        def at(step: int) -> Tokens:
            if step < len(kept):
                return kept[step]
            with closing(encode(timesteps[step : step + 1])) as encoded:
                return next(encoded)

        return at

    def _encode(self, timesteps: Sequence[int], encode: Encode, on_step: Callable[[int], None]) -> list[Tokens]:
        """As many steps as there is room for, once earlier schedules have made it."""
        kept: list[Tokens] = []
        if not self.max_bytes:
            return kept
        with closing(encode(timesteps)) as encoded:
            for number, tokens in enumerate(encoded, 1):
                each = size_of([tokens])
                fits = min(len(timesteps), self.max_bytes // each)
                while self._schedules and self.nbytes + fits * each > self.max_bytes:
                    self._schedules.popitem(last=False)
                if number > fits:
                    break
                kept.append({block: x.cpu() for block, x in tokens.items()})
                on_step(number)
                if number == fits:
                    break
        return kept

    def clear(self) -> None:
        """Forget everything, to give the memory back."""
        self._schedules.clear()


def size_of(schedule: Sequence[Tokens]) -> int:
    """Bytes held by a schedule."""
    return sum(tokens.nbytes for step in schedule for tokens in step.values())


def encode_reference(encoder: AppearanceEncoder, latents: Tensor, timestep: int, text: Tensor) -> Tokens:
    """One pass over the clean reference latents (1, C, h, w) at a timestep; only the conditional row counts."""
    rows = 1 if encoder.context.sharing else 2
    sample = latents.expand(rows, -1, -1, -1)
    written = encoder(sample, torch.tensor([timestep], device=latents.device), text)
    return {block: tokens[-1:] for block, tokens in written.items()}
