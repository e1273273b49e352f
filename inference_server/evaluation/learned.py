"""Metrics that need a trained network: LPIPS, FID-VID, FVD. Their weights are not shipped; these are the sockets.

A folder may hold TorchScript modules, each loaded by its name:

    lpips.pt     (F, 3, H, W) x 2 in -1..1 -> (F,) or (F, 1, 1, 1)          Zhang et al. 2018
    fid_vid.pt   (1, 3, F, H, W) in -1..1 -> (N, D) features               as in DisCo: a 3D ResNet, 16-frame clips
    fvd.pt       (1, 3, F, H, W) in -1..1 -> (N, D) features               Unterthiner et al. 2018: I3D
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inference_server.errors import UserError
from inference_server.evaluation.metrics import Pictures

Features = NDArray[np.float64]
FRECHET = ("fid_vid", "fvd")


class LearnedMetrics:
    """Those of the metrics whose modules a folder holds."""

    def __init__(self, folder: Path | None) -> None:
        """Raises UserError if a module cannot be loaded."""
        self.modules: dict[str, torch.jit.ScriptModule] = {}
        for name in ("lpips", *FRECHET) if folder else ():
            path = folder / f"{name}.pt"
            if path.exists():
                try:
                    self.modules[name] = torch.jit.load(path, map_location="cpu").eval()
                except RuntimeError as error:
                    raise UserError(
                        f"{path} is no TorchScript module",
                        fix="Export it with torch.jit.script or trace, see docs/evaluation.md.",
                        code="metric-unreadable",
                    ) from error

    @torch.no_grad()
    def lpips(self, output: Pictures, truth: Pictures) -> float | None:
        """Mean over frames, None without weights."""
        if "lpips" not in self.modules:
            return None
        frames = [self.modules["lpips"](_batch(o[None]), _batch(t[None])) for o, t in zip(output, truth, strict=True)]
        return float(torch.stack(frames).mean())

    @torch.no_grad()
    def frechet(self, pairs: Iterable[tuple[Pictures, Pictures]]) -> dict[str, float]:
        """Fréchet distance of features of all outputs to those of all truths, by metric."""
        pairs = list(pairs)
        distances = {}
        for name in FRECHET:
            if name in self.modules:
                module = self.modules[name]
                outputs, truths = (
                    np.concatenate([module(_batch(clip).transpose(0, 1)[None]).numpy() for clip in clips])
                    for clips in zip(*pairs, strict=True)
                )
                distances[name] = frechet_distance(outputs, truths)
        return distances


def frechet_distance(a: Features, b: Features) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) of two sets of features (N, D) (Heusel et al. 2017)."""
    a, b = (np.atleast_2d(x).astype(np.float64) for x in (a, b))
    ca, cb = (np.atleast_2d(np.cov(x, rowvar=False)) if len(x) > 1 else np.zeros((x.shape[1],) * 2) for x in (a, b))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(ca @ cb).real, 0))
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca) + np.trace(cb) - 2 * roots.sum())


def _batch(pictures: Pictures) -> torch.Tensor:
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
