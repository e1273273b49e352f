"""MagicAnimate as one readable call: reference picture + part maps -> frames.

    pipeline = MagicAnimatePipeline.from_folder("weights")
    frames = pipeline(reference, part_maps, steps=25, guidance_scale=7.5, seed=1)

MagicAnimate: Xu et al. 2023, arXiv:2311.16498.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference_server.engines.device import (
    attention_backend,
    available_memory,
    free_memory,
    pick_device,
    pick_dtype,
    release_cached,
    to_host,
)
from inference_server.engines.magicanimate.loader import Networks, load_networks
from inference_server.engines.magicanimate.placement import (
    Placement,
    Plan,
    choose_plan,
    lower_plan,
    plan_bytes,
    windows_at_once,
)
from inference_server.engines.magicanimate.predictor import Hints, NoisePredictor
from inference_server.engines.magicanimate.references import ReferenceStore, Tokens, encode_reference
from inference_server.engines.magicanimate.room import DECODE_BATCH, Footprint, refuse_too_large
from inference_server.errors import UserError
from inference_server.media.labels import colours_from_labels
from inference_server.models.attention import AttentionBackend, CallContext, KeyValue, PictureAttentionProcessor
from inference_server.sampling.denoise import KeptLatents, denoise
from inference_server.sampling.noise import starting_noise
from inference_server.sampling.solver import MAGICANIMATE_SCHEDULE, Solver, SolverName, make_solver
from inference_server.sampling.windows import Mode, Window, plan_windows

RECOMPILES = 256
"""Of one kind of layer, beyond which torch would give it up: widths, sizes and row counts of both networks."""

Images = NDArray[np.uint8]
StepCallback = Callable[[int, Tensor, Tensor], None]
"""(steps done, latents, estimate of the clean latents of the watched frames), float32 on the CPU; raises to end it."""
RoundCallback = Callable[[int, float, Tensor | None], None]
"""See `sampling.denoise`."""


@dataclass
class Run:
    """One animation, ready to be denoised: inputs as tensors, plan and predictor."""

    frames: int
    latents: Tensor
    solver: Solver
    windows: list[Window]
    predictor: NoisePredictor


@dataclass(frozen=True)
class Decoded:
    """Frames on their way to the host."""

    frames: Sequence[int]
    images: Callable[[], Images]
    finite: Callable[[], NDArray[np.bool_]]

    def wait(self) -> Iterator[tuple[int, Images]]:
        """(frame, RGB (H, W, 3)). Raises FloatingPointError."""
        if not self.finite():
            raise FloatingPointError(f"the picture of frame {self.frames[0]} is not finite")
        yield from zip(self.frames, self.images(), strict=True)


class MagicAnimatePipeline:
    """The seven parts on a device. Not thread-safe.

    Options that change cost, never results (but for float order): sharing, see `CallContext`; plan, see `Placement`,
    where a size that does not fit takes one further down; attention: auto, sdpa or xformers; compiled: layers of the
    networks, which no other pipeline may have then; window_batch: windows of a step that go through together, None for
    what memory allows.
    """

    def __init__(
        self,
        networks: Networks,
        device: torch.device,
        *,
        sharing: bool = True,
        plan: Plan = "resident",
        attention: str = "auto",
        compiled: bool = False,
        window_batch: int | None = None,
        store: ReferenceStore | None = None,
    ) -> None:
        self.networks = networks
        self.device = device
        self.dtype = networks.unet.dtype
        self.sharing = sharing
        self.store = ReferenceStore() if store is None else store
        self.window_batch = window_batch
        self.placement = Placement(networks.modules, device, plan)
        self.attention: AttentionBackend = attention_backend(attention, device, self.dtype)
        self.footprint = Footprint.of(networks.modules, device, self.dtype, self.attention)
        self._text: Tensor | None = None
        self._contexts: dict[str, CallContext] = {
            name: getattr(networks, name).context for name in ("unet", "appearance", "controlnet")
        }
        self._prompt_keys: dict[str, dict[str, KeyValue]] = {name: {} for name in self._contexts}
        if device.type == "cuda":
            for module in (networks.unet, networks.controlnet, networks.vae):
                module.to(memory_format=torch.channels_last)
        self.decode_batch = DECODE_BATCH if device.type == "cuda" else 1
        for name in ("unet", "controlnet") if compiled else ():
            if self.placement.stays(name):
                compile_layers(getattr(networks, name))

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        low_memory: bool = False,
        plan: Plan | None = None,
        **options: Any,
    ) -> Self:
        """Load the published checkpoint tree. Raises UserError naming the file that is missing or does not fit."""
        where = pick_device(device)
        number = pick_dtype(dtype, where)
        networks = load_networks(Path(folder), number)
        release_cached(where)
        attention = attention_backend(options.get("attention", "auto"), where, number)
        footprint = Footprint.of(networks.modules, where, number, attention)
        side = int(networks.unet.config.sample_size) * footprint.scale
        needs = plan_bytes(footprint.sizes, footprint.working(side, side))
        if low_memory:
            options |= {"window_batch": 1}
        return cls(networks, where, plan=plan or choose_plan(needs, free_memory(where), low_memory), **options)

    @property
    def scale_factor(self) -> int:
        """Pixels per latent in each direction."""
        return int(2 ** (len(self.networks.vae.config.block_out_channels) - 1))

    @torch.no_grad()
    def __call__(
        self,
        reference: Images,
        part_maps: Images,
        *,
        steps: int = 25,
        guidance_scale: float = 7.5,
        pose_strength: float = 1.0,
        seed: int = 1,
        shared_noise: float = 0.0,
        latents: Tensor | None = None,
        windows: Mode = "open",
        context_frames: int = 16,
        context_overlap: int = 4,
        pad_to_multiple: int = 1,
        on_step: StepCallback | None = None,
        output: str = "frames",
    ) -> Images | Tensor:
        """Animate `reference` by `part_maps`.

        reference: uint8 (H, W), (H, W, 3) or (H, W, 4). part_maps: uint8 labels (F, H, W) or RGB (F, H, W, 3).
        pose_strength: factor of the ControlNet's residuals, `controlnet_conditioning_scale` of the published pipeline.
        shared_noise: see `sampling.noise.mix_noise`. latents: starting noise (F, C, h, w) in place of `seed`.
        pad_to_multiple: repeat the last map up to a multiple of this many frames while denoising, as the published
        driver does with 16.
        Returns uint8 (F, H, W, 3), or with output="latents" the final latents (F, C, h, w).
        Raises UserError for inputs that do not fit, and whatever `on_step` raises.
        """
        run = self.prepare(
            reference,
            part_maps,
            steps=steps,
            guidance=[guidance_scale] * steps,
            pose_strength=pose_strength,
            seed=seed,
            shared_noise=shared_noise,
            latents=latents,
            windows=windows,
            context_frames=context_frames,
            context_overlap=context_overlap,
            pad_to_multiple=pad_to_multiple,
        )
        final = self.denoise(run, on_step)
        if output == "latents":
            return final[: run.frames]
        decoded = final[: run.frames] if self.sharing else final
        return np.stack([image for _, image in self.decode(decoded)])[: run.frames]

    @torch.no_grad()
    def prepare(
        self,
        reference: Images,
        part_maps: Images,
        *,
        steps: int,
        guidance: Sequence[float],
        pose_strength: float = 1.0,
        seed: int = 1,
        shared_noise: float = 0.0,
        latents: Tensor | None = None,
        windows: Mode = "open",
        context_frames: int = 16,
        context_overlap: int = 4,
        pad_to_multiple: int = 1,
        solver: SolverName = "ddim",
        on_reference: Callable[[int], None] = lambda _done: None,
    ) -> Run:
        """Check the inputs and do all that is done once per job; `on_reference(timesteps done)` may raise to cancel.

        guidance: guidance scale of each step. pose_strength: factor of the ControlNet's residuals. Raises UserError
        for inputs that do not fit.
        """
        for name, context in self._contexts.items():  # which another pipeline may share
            context.sharing, context.attend = self.sharing, self.attention
            context.text_cache = self._prompt_keys[name]
        self.networks.vae.set_attn_processor(PictureAttentionProcessor(self.attention))
        reference = as_rgb(reference)
        self._check(reference, part_maps, context_frames, context_overlap)
        self._make_room(reference.shape[1], reference.shape[0], min(context_frames, len(part_maps)))
        count = len(part_maps)
        padded = -(-count // pad_to_multiple) * pad_to_multiple
        maps = lambda frames: self._condition(part_maps[np.minimum(frames, count - 1)])  # noqa: E731
        shape = self._latent_shape(reference)
        if latents is None:
            latents = starting_noise(seed, padded, shape, shared=shared_noise)
        if latents.shape[1:] != shape or len(latents) not in (count, padded):
            raise UserError(
                f"The starting noise has the shape {tuple(latents.shape)}",
                fix=f"It must be {(padded, *shape)} for these part maps.",
                code="latents-shape",
            )
        plan = plan_windows(len(latents), context_frames, context_overlap, windows)
        scheduler = make_solver(solver, steps, MAGICANIMATE_SCHEDULE)
        timesteps = [int(t) for t in scheduler.timesteps]
        text = self.text()
        predictor = NoisePredictor(
            unet=self.networks.unet,
            controlnet=self.networks.controlnet,
            placement=self.placement,
            timesteps=timesteps,
            windows=plan,
            text=text,
            hints=Hints(self.networks.controlnet, maps),
            references=self._references(self.encode(reference), timesteps, text, on_reference),
            guidance=guidance,
            pose_strength=pose_strength,
        )
        return Run(count, latents.float().cpu() * scheduler.init_noise_sigma, scheduler, plan, predictor)

    def denoise(
        self,
        run: Run,
        on_step: StepCallback | None = None,
        *,
        on_round: RoundCallback | None = None,
        start: int = 0,
        active: Collection[int] | None = None,
        kept: KeptLatents | None = None,
        watched: Sequence[int] = (),
    ) -> Tensor:
        """Final latents (F, C, h, w), float32 on the CPU: those of `run`, changed in place.

        See `sampling.denoise` for `on_round`, `start`, `active`, `kept`, `watched` and what is raised.
        """
        height, width = run.latents.shape[-2:]
        scale, frames = self.scale_factor, max(map(len, run.windows), default=1)
        working = self.footprint.working(width * scale, height * scale, frames)
        batch = self.window_batch or windows_at_once(len(run.windows), free_memory(self.device), working)
        return denoise(
            run.latents,
            run.solver,
            run.windows,
            run.predictor,
            on_step=on_step or (lambda _done, _latents, _clean: None),
            on_round=on_round or (lambda _step, _part, _clean: None),
            start=start,
            active=active,
            kept=kept,
            batch=batch,
            watched=watched,
        )

    @torch.no_grad()
    def text(self) -> Tensor:
        """Embedding (1, tokens, D) of the empty prompt, the only one MagicAnimate is used with; computed once."""
        if self._text is None:
            ids = self.networks.tokenizer(
                "", padding="max_length", max_length=self.networks.text_encoder.config.max_position_embeddings
            ).input_ids
            with self.placement.using("text_encoder") as encoder:
                self._text = encoder(torch.tensor([ids], device=self.device)).last_hidden_state
        return self._text

    @torch.no_grad()
    def encode(self, image: Images) -> Tensor:
        """RGB (H, W, 3) -> latents (1, C, h, w): the mean of the VAE's distribution, scaled, no noise."""
        pixels = torch.tensor(image, device=self.device).permute(2, 0, 1)[None].to(self.dtype) / 127.5 - 1
        with self.placement.using("vae") as vae:
            return vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor

    def decoder(self, *, small: bool) -> str:
        """Folder of the network that decodes: the small one only where its weights are there."""
        return "taesd" if small and self.networks.small_vae is not None else "sd-vae-ft-mse"

    @torch.no_grad()
    def decode(
        self, latents: Tensor, frames: Sequence[int] | None = None, *, small: bool = False
    ) -> Iterator[tuple[int, Images]]:
        """Yield (frame, RGB (H, W, 3)) one by one, all or those of `frames`. `small`: see `decoder`.

        Raises FloatingPointError in place of a picture whose numbers are not finite.
        """
        network = "small_vae" if self.decoder(small=small) == "taesd" else "vae"
        chosen = list(range(len(latents)) if frames is None else frames)
        before = Decoded((), lambda: np.empty(0, np.uint8), lambda: np.array(True))
        with self.placement.using(network) as vae:
            for start in range(0, len(chosen), self.decode_batch):
                numbers = chosen[start : start + self.decode_batch]
                sample = latents[numbers].to(self.device, self.dtype) / vae.config.scaling_factor
                decoded = vae.decode(sample).sample.float()
                pixels = (decoded / 2 + 0.5).clamp(0, 1)
                images = to_host((pixels * 255).round().byte().permute(0, 2, 3, 1))
                finite = to_host(decoded.isfinite().all())  # before clamping, which makes white of infinity
                yield from before.wait()  # the caller writes while the device works
                before = Decoded(numbers, images, finite)
        yield from before.wait()

    def _references(
        self, latents: Tensor, timesteps: Sequence[int], text: Tensor, on_done: Callable[[int], None]
    ) -> Callable[[int], Tokens]:
        def encode(chosen: Sequence[int]) -> Generator[Tokens, None, None]:
            with self.placement.using("appearance"):
                for timestep in chosen:
                    yield encode_reference(self.networks.appearance, latents, timestep, text)

        store = self.store if self.sharing else ReferenceStore(max_bytes=0)
        return store.get(latents, timesteps, encode, on_done)

    def _make_room(self, width: int, height: int, frames: int) -> None:
        """Move networks off the device if this size does not fit beside them. Raises UserError `too-large`."""
        free = free_memory(self.device)
        if free is None:
            refuse_too_large(width, height, lambda w, h: self.footprint.computing(w, h, frames), available_memory())
            return
        free += sum(p.nbytes for network in self.networks.modules.values() for p in on_device(network))
        refuse_too_large(width, height, lambda w, h: self.footprint.least(w, h, frames), free)
        needs = plan_bytes(self.footprint.sizes, self.footprint.working(width, height, frames))
        plan = lower_plan(self.placement.plan, needs, free) or self.placement.plan
        if plan != self.placement.plan:
            self.placement = Placement(self.networks.modules, self.device, plan)
            release_cached(self.device)

    def _condition(self, maps: Images) -> Tensor:
        """Part maps -> ControlNet condition (n, 3, H, W): RGB in [0, 1], not mapped to [-1, 1]."""
        colours = colours_from_labels(maps) if maps.ndim == 3 else maps
        return torch.tensor(colours, device=self.device).permute(0, 3, 1, 2).to(self.dtype) / 255

    def _latent_shape(self, reference: Images) -> tuple[int, int, int]:
        height, width = (side // self.scale_factor for side in reference.shape[:2])
        return self.networks.unet.config.in_channels, height, width

    def _check(self, reference: Images, part_maps: Images, context: int, overlap: int) -> None:
        (height, width), unit = reference.shape[:2], self.scale_factor
        if part_maps.ndim not in (3, 4) or not len(part_maps):
            raise UserError("There are no part maps", fix="Give at least one frame.", code="no-frames")
        if part_maps.shape[1:3] != (height, width):
            raise UserError(
                f"The reference is {width} x {height}, the part maps are {part_maps.shape[2]} x {part_maps.shape[1]}",
                fix="Bring both to the size of the output.",
                code="size-mismatch",
            )
        if height % unit or width % unit:
            raise UserError(
                f"{width} x {height} is no size for these weights",
                fix=f"Use multiples of {unit}, for example {width // unit * unit} x {height // unit * unit}.",
                code="size-multiple",
            )
        longest = self.networks.unet.spec.max_window
        if not 1 <= context <= longest or not 0 <= overlap < context:
            raise UserError(
                f"A window of {context} frames with {overlap} shared is not possible",
                fix=f"Use at most {longest} frames, and fewer shared ones than that.",
                code="window-size",
            )


def on_device(network: nn.Module) -> Iterator[Tensor]:
    """The weights that do not lie on the host."""
    return (p for p in network.parameters() if p.device.type not in ("cpu", "meta"))


def compile_layers(network: Any) -> None:
    """By torch, for the shapes that come; a layer that no compiler can do runs as it is, and the log says so."""
    config = torch._dynamo.config
    config.recompile_limit = max(RECOMPILES, config.recompile_limit)
    config.suppress_errors = True
    network.compile_repeated_blocks(dynamic=False)


def as_rgb(image: Images) -> Images:
    """Grey (H, W) or RGBA (H, W, 4), laid over white, to RGB (H, W, 3). Raises UserError for other shapes."""
    if image.dtype == np.uint8 and image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.float32) / 255
        return (image[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return image
    raise UserError(
        f"The reference has the shape {image.shape} and type {image.dtype}",
        fix="Give uint8 (H, W), (H, W, 3) or (H, W, 4).",
        code="reference-shape",
    )
