"""FLOPs and bytes of a run, counted on fake tensors: they need neither weights nor memory nor a device."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from inference_server.engines.magicanimate.placement import Placement, Working, sizes_of, working_bytes
from inference_server.engines.magicanimate.predictor import Hints, NoisePredictor
from inference_server.engines.magicanimate.real_size import UNET, VAE, random_networks, random_unets
from inference_server.engines.magicanimate.references import encode_reference
from inference_server.engines.memory import LiveBytes
from inference_server.sampling.windows import Window, plan_windows

ORIGINAL_TFLOP_PER_STEP = 45.98
"""Of the published code at 512 x 512, 16 frames, guidance: 39.87 UNet, 4.53 ControlNet, 1.57 appearance encoder."""

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""The kernel that attention falls to on the CPU, which torch's counter does not know."""


@dataclass(frozen=True)
class Case:
    """What is measured. size: pixels of a square picture. channels: widths of the UNets' blocks."""

    size: int = 512
    frames: int = 16
    steps: int = 25
    guidance_scale: float = 7.5
    channels: tuple[int, ...] = tuple(UNET["block_out_channels"])
    context_frames: int = 16
    context_overlap: int = 4

    @property
    def windows(self) -> list[Window]:
        return plan_windows(self.frames, self.context_frames, self.context_overlap)


def is_published(case: Case) -> bool:
    """Whether it is the case that the published code was counted for; of others its work is not known."""
    counted = Case()
    return (case.size, case.frames, case.channels, case.context_frames, case.guidance_scale > 1) == (
        counted.size, counted.frames, counted.channels, counted.context_frames, True
    )  # fmt: skip


class FakeStep:
    """Predicts noise for a case without computing anything; only inside `FakeTensorMode`."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        cpu, self.case, self._side = torch.device("cpu"), case, case.size // 8
        unet, appearance, controlnet = random_unets(cpu, dtype, case.channels)
        self.parts: dict[str, nn.Module] = {"unet": unet, "appearance": appearance, "controlnet": controlnet}
        self._picture = torch.empty(1, 4, self._side, self._side, dtype=dtype)
        self._text = torch.empty(1, 77, unet.config.cross_attention_dim, dtype=dtype)
        self._dtype = dtype

    def predictor(self, sharing: bool) -> NoisePredictor:
        """For two steps of the case's windows; the appearance encoder runs in the step."""
        for network in self.parts.values():
            network.context.sharing = sharing
            network.context.text_cache = {}
        unet, appearance, controlnet = self.parts.values()
        return NoisePredictor(
            unet=unet,
            controlnet=controlnet,
            placement=Placement(self.parts, torch.device("cpu")),
            timesteps=[961, 921],
            windows=self.case.windows,
            text=self._text,
            hints=Hints(controlnet, self._condition),
            references=lambda _step: encode_reference(appearance, self._picture, 961, self._text),
            guidance=[self.case.guidance_scale] * 2,
        )

    def latents(self, *windows: Window) -> Tensor:
        return torch.empty(sum(map(len, windows)), 4, self._side, self._side)

    def _condition(self, frames: Sequence[int]) -> Tensor:
        return torch.empty(len(frames), 3, self.case.size, self.case.size, dtype=self._dtype)


@contextmanager
def no_computing() -> Iterator[None]:
    with FakeTensorMode(), torch.no_grad():
        yield


def count_flops(case: Case, *sharings: bool) -> list[dict[str, float]]:
    """TFLOP (2 per multiply-add) of one denoising step over the case's clip, one answer per sharing.

    Counted on the second step, so that what is done once per job does not count; the appearance encoder does, as one
    pass is needed per step whether it is made before the loop or in it.
    """
    answers = []
    with no_computing():
        step = FakeStep(case, torch.float32)
        for sharing in sharings:
            predictor = step.predictor(sharing)
            counter = FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: attention_flops})
            predictor(0, case.windows[:1], step.latents(case.windows[0]))
            with counter:
                for window in case.windows:
                    predictor(1, [window], step.latents(window))
            answers.append(tflops(counter, step.parts))
    return answers


def count_window_bytes(case: Case, dtype: torch.dtype, windows: int = 1) -> int:
    """The most bytes of tensors that live at once while `windows` windows are predicted together."""
    with no_computing():
        step = FakeStep(case, dtype)
        predictor = step.predictor(sharing=True)
        together = [case.windows[0]] * windows
        predictor(0, together, step.latents(*together))
        with LiveBytes() as count:
            predictor(1, together, step.latents(*together))
    return count.peak


def count_decode_bytes(case: Case, dtype: torch.dtype, frames: int = 1) -> int:
    """The most bytes of tensors that live at once while `frames` frames are decoded together."""
    with no_computing():
        vae = random_networks(torch.device("cpu"), dtype, case.channels).vae
        with LiveBytes() as count:
            vae.decode(torch.empty(frames, 4, case.size // 8, case.size // 8, dtype=dtype))
    return count.peak


def weight_bytes(case: Case, dtype: torch.dtype) -> dict[str, int]:
    """Bytes of each network's weights."""
    with no_computing():
        return sizes_of(random_networks(torch.device("cpu"), dtype, case.channels).modules)


def working_of(case: Case, dtype: torch.dtype, windows: int = 1, decoded: int = 1) -> Working:
    """What is taken to be enough beside the weights, without counting."""
    width, published = case.channels[0], UNET["block_out_channels"][0]
    return working_bytes(
        frames=min(case.frames, case.context_frames),
        area=(case.size // 8) ** 2,
        pixels=case.size**2,
        width=width,
        vae_width=VAE["block_out_channels"][0] * width // published,
        itemsize=dtype.itemsize,
        windows=windows,
        decoded=decoded,
    )


def attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Two matrix products: query x key, weights x value."""
    return int(sdpa_flop_count(query, key, value))


def tflops(counter: FlopCounterMode, parts: Mapping[str, nn.Module]) -> dict[str, float]:
    """The counter's total as `tflop_per_step`, and what each network took of it."""
    counts = counter.get_flop_counts()
    named = {name: sum(counts.get(type(network).__name__, {}).values()) / 1e12 for name, network in parts.items()}
    return {"tflop_per_step": counter.get_total_flops() / 1e12, **named}
