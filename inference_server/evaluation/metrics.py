"""The field's pixel metrics, on uint8 clips (F, H, W, 3).

Differences are taken in float. Published figures for this task are partly inflated: the common script subtracts uint8
arrays, which wraps around.
"""

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

Pictures = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def l1(output: Pictures, truth: Pictures) -> float:
    """Mean absolute difference, pictures in 0..1."""
    return float(np.abs(_float(output) - _float(truth)).mean())


def psnr(output: Pictures, truth: Pictures, where: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, mean over frames; `where` (F, H, W): of these pixels only.

    Frames in which `where` is empty do not count. An exact frame counts as 100 dB.
    """
    error = np.square(_float(output) - _float(truth)).mean(-1)
    where = np.ones(error.shape, bool) if where is None else where
    frames = [error[k][where[k]].mean() for k in range(len(error)) if where[k].any()]
    return float(np.mean(-10 * np.log10(np.maximum(frames, 1e-10)))) if frames else float("nan")


def ssim(output: Pictures, truth: Pictures) -> float:
    """Structural similarity (Wang et al. 2004), mean over frames."""
    window = min(7, (min(truth.shape[1:3]) - 1) // 2 * 2 + 1)
    frames = zip(output, truth, strict=True)
    return float(np.mean([structural_similarity(o, t, channel_axis=-1, win_size=window) for o, t in frames]))


def _float(pictures: Pictures) -> NDArray[np.float64]:
    return pictures.astype(np.float64) / 255
