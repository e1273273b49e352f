"""Noise prediction for windows: pose residuals, reference, guidance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inference_server.engines.magicanimate.placement import Placement
from inference_server.models.attention import KeyValue
from inference_server.models.unet import PoseControlNet, Residuals, UNet3D
from inference_server.sampling.windows import Window

MOST_HINTS, MOST_HINT_BYTES = 64, 2**28
"""Frames whose hints are kept, and their bytes: the host's memory must not grow with the clip.

A hint made anew at every step costs 0.7 % of the step.
"""


class Hints:
    """The ControlNet's hint embedding of every frame; those of the first frames are kept on the CPU."""

    def __init__(self, controlnet: PoseControlNet, condition: Callable[[Sequence[int]], Tensor]) -> None:
        """`condition(frames)`: RGB (n, 3, H, W) in [0, 1] on the device and in the dtype of the network."""
        self._controlnet = controlnet
        self._condition = condition
        self._kept: dict[int, Tensor] = {}

    def of(self, frames: Sequence[int]) -> Tensor:
        """(n, channels, h, w) on the device."""
        if not self._controlnet.context.sharing:
            return self._controlnet.embed_hint(self._condition(frames))
        missing = [frame for frame in frames if frame not in self._kept]
        embedded = self._controlnet.embed_hint(self._condition(missing)) if missing else ()
        fresh = dict(zip(missing, embedded, strict=True))
        hints = [fresh[f] if f in fresh else self._kept[f].to(self._controlnet.device) for f in frames]
        for frame, hint in fresh.items():
            if len(self._kept) < min(MOST_HINTS, MOST_HINT_BYTES // hint.nbytes):
                self._kept[frame] = hint.to("cpu", copy=True)  # not a view of all that were made with it
        return torch.stack(hints)


@dataclass
class NoisePredictor:
    """`Predict` of the denoising loop for one job.

    timesteps: of the schedule. text: (1, tokens, D). references: tokens of a step, on any device.
    guidance: guidance scale per step; at most 1 means the conditional prediction alone (half the work).
    pose_strength: factor of the ControlNet's residuals.
    """

    unet: UNet3D
    controlnet: PoseControlNet
    placement: Placement
    timesteps: Sequence[int]
    windows: Sequence[Window]
    text: Tensor
    hints: Hints
    references: Callable[[int], dict[str, Tensor]]
    guidance: Sequence[float]
    pose_strength: float = 1.0

    def __post_init__(self) -> None:
        self._step = -1
        self._read: dict[str, Tensor | KeyValue] = {}
        self._shared: tuple[Window, Residuals] | None = None
        self._followers = dict(zip(self.windows, self.windows[1:], strict=False))

    def __call__(self, step: int, windows: Sequence[Window], latents: Tensor) -> Tensor:
        """Guided noise, float32 on the CPU, for `latents` (windows * n, C, h, w) of windows of one length."""
        if step != self._step:
            self._begin(step)
        sample = latents.to(self.text.device, self.text.dtype)
        timestep = torch.tensor([self.timesteps[step]], device=sample.device)
        with self.placement.using("controlnet"):
            parts = zip(windows, sample.chunk(len(windows)), strict=True)
            residuals = join([self._residuals(window, part, timestep) for window, part in parts])
        guided = self.guidance[step] > 1
        with self.placement.using("unet"):
            noise = self.unet(
                sample,
                timestep,
                self.text,
                frames=len(windows[0]),
                residuals=residuals,
                references=spread(self._read, len(windows)),
                guidance=guided,
            ).float()
        if guided:
            plain, conditional = noise.chunk(2)
            noise = plain + self.guidance[step] * (conditional - plain)
        return noise.cpu()

    def _begin(self, step: int) -> None:
        """A new step: other reference tokens, and no residuals to share with the step before."""
        self._step, self._shared = step, None
        tokens = self.references(step)
        tokens = {block: x.to(self.text.device, non_blocking=True) for block, x in tokens.items()}
        if self.unet.context.sharing:
            with self.placement.using("unet"):
                self._read = dict(self.unet.project_references(tokens))
        else:
            self._read = dict(tokens)

    def _residuals(self, window: Window, sample: Tensor, timestep: Tensor) -> Residuals:
        """ControlNet output of the window's frames; those shared with the window before are not computed again."""
        known, before = self._shared or ((), None)
        rows = {frame: row for row, frame in enumerate(known)}
        missing = [i for i, frame in enumerate(window) if frame not in rows]
        fresh = None
        if missing:
            hint = self.hints.of([window[i] for i in missing])
            fresh = self.controlnet(sample[missing], timestep, self.text, hint, scale=self.pose_strength)
        residuals = merge(window, rows, missing, before, fresh)
        follower = set(self._followers.get(window, ()))
        shared = [i for i, frame in enumerate(window) if frame in follower]
        down, mid = residuals
        self._shared = tuple(window[i] for i in shared), ([x[shared] for x in down], mid[shared])
        return residuals


def join(residuals: Sequence[Residuals]) -> Residuals:
    """Residuals of several windows, one after the other."""
    if len(residuals) == 1:
        return residuals[0]
    down = [torch.cat(layer) for layer in zip(*(down for down, _ in residuals), strict=True)]
    return down, torch.cat([mid for _, mid in residuals])


def spread(references: dict[str, Tensor | KeyValue], readers: int) -> dict[str, Tensor | KeyValue]:
    """The one reference for several clips that read it."""

    def rows(x: Tensor) -> Tensor:
        return x.expand(readers, *x.shape[1:])

    return {
        block: rows(read) if isinstance(read, Tensor) else (rows(read[0]), rows(read[1]))
        for block, read in references.items()
    }


def merge(
    window: Window, rows: dict[int, int], missing: list[int], before: Residuals | None, fresh: Residuals | None
) -> Residuals:
    """Residuals of a window, in its order, from those of the window before and freshly computed ones."""
    if before is None or len(missing) == len(window):
        assert fresh is not None
        return fresh
    have = [i for i, frame in enumerate(window) if frame in rows]
    source = [rows[window[i]] for i in have]

    def fill(old: Tensor, new: Tensor | None) -> Tensor:
        out = old.new_empty(len(window), *old.shape[1:])
        out[have] = old[source]
        if new is not None:
            out[missing] = new
        return out

    new_down = fresh[0] if fresh else [None] * len(before[0])
    return [fill(o, n) for o, n in zip(before[0], new_down, strict=True)], fill(before[1], fresh[1] if fresh else None)
