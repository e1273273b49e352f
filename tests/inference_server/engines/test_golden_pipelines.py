"""Whole runs against the original's, and inputs that the original fails on."""

import numpy as np
import pytest
import torch
from PIL import Image

from inference_server.engines.magicanimate.loader import load_networks
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline, as_rgb
from inference_server.errors import Cancelled, UserError

CPU = torch.device("cpu")
LIMIT = 1e-3


@pytest.fixture
def pipeline(golden_networks):
    return MagicAnimatePipeline(golden_networks, CPU)


def pipelines(golden_dir, *, rounded_bank=False):
    names = sorted(path.stem for path in golden_dir.glob("pipeline_*.safetensors"))
    return [name for name in names if ("fp16bank" in name) == rounded_bank]


def control_video(stored):
    colours = stored["control_palette_u8"].numpy()[stored["control_index_half_res_u8"].numpy()]
    return colours.repeat(2, axis=1).repeat(2, axis=2)


def frames_first(latents):
    """(1, C, F, h, w) -> (F, C, h, w)."""
    return latents[0].transpose(0, 1)


RENAMED = {
    "steps": "steps",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance_scale",
    "seed": "seed",
    "context_frames": "context_frames",
    "context": "context_frames",
    "context_size": "context_frames",
    "context_overlap": "context_overlap",
    "overlap": "context_overlap",
    "controlnet_conditioning_scale": "pose_strength",
}
"""Parameters of a golden run -> the pipeline's."""
FIXED = {"context_stride": 1, "context_schedule": "uniform", "eta": 0.0}
"""Parameters that the pipeline has no choice of, with the value that it computes."""
SHAPES = ("frames", "height", "width")


def arguments_of(params):
    """The pipeline's arguments for a golden run. Fails on a parameter that is not understood: it would be left out."""
    unknown = [
        name
        for name, value in params.items()
        if name not in RENAMED and name not in (*SHAPES, "bank_dtype") and (name, value) not in FIXED.items()
    ]
    if unknown:
        pytest.fail(f"the golden run was made with {unknown}, which this test does not pass on")
    return {RENAMED[name]: value for name, value in params.items() if name in RENAMED}


def run_golden(pipeline, stored, **options):
    params, maps = stored["params"], control_video(stored)
    assert tuple(params[name] for name in SHAPES) == maps.shape[:3]
    arguments = {"windows": "original", **arguments_of(params)}
    if "seed" not in arguments:
        arguments["latents"] = frames_first(stored["init_latents"])
    return pipeline(stored["source_u8_hwc"].numpy(), maps, **arguments, **options)


class Steps:
    def __init__(self):
        self.latents = []

    def __call__(self, _done, latents, _clean):
        self.latents.append(latents.clone())


def test_a_parameter_that_is_not_understood_fails():
    given = {"frames": 8, "height": 64, "width": 64, "steps": 4, "context_stride": 1, "guidance_scale": 3.0}
    assert arguments_of({**given, "controlnet_conditioning_scale": 0.5}) == {
        "steps": 4, "guidance_scale": 3.0, "pose_strength": 0.5
    }  # fmt: skip
    for strange in ({"style_fidelity": 1.0}, {"context_stride": 2}):
        with pytest.raises(pytest.fail.Exception, match=next(iter(strange))):
            arguments_of({**given, **strange})


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.7])
def test_pose_strength_scales_the_residuals(pipeline, picture, strength):
    def scaled(_network, _args, _kwargs, out):
        return [x * strength for x in out[0]], out[1] * strength

    ours = pipeline(picture, labels(18), steps=2, pose_strength=strength, output="latents")
    hook = pipeline.networks.controlnet.register_forward_hook(scaled, with_kwargs=True)
    from_outside = pipeline(picture, labels(18), steps=2, output="latents")
    hook.remove()
    assert (ours - from_outside).abs().max() < 1e-5
    assert (ours - pipeline(picture, labels(18), steps=2, output="latents")).abs().max() > 0.01
    if strength == 0:
        assert torch.equal(ours, pipeline(picture, labels(18) * 0, steps=2, pose_strength=0.0, output="latents"))


@pytest.mark.golden
def test_golden_runs(pipeline, golden, golden_dir):
    names = pipelines(golden_dir)
    assert names
    for name in names:
        stored, kept = golden(name), Steps()
        final = run_golden(pipeline, stored, output="latents", on_step=kept)
        assert (final - frames_first(stored["final_latents"])).abs().max() < LIMIT, name
        if "latents_after_first_step" in stored:
            assert (kept.latents[0] - frames_first(stored["latents_after_first_step"])).abs().max() < LIMIT, name
        if "video_frames_0_15_last_u8" in stored:
            frames = [image for _, image in pipeline.decode(final, [0, 15, len(final) - 1])]
            ours = np.stack(frames).astype(int)
            theirs = stored["video_frames_0_15_last_u8"].flatten(0, 0).squeeze(0).numpy()
            theirs = theirs.transpose(1, 2, 3, 0) if theirs.shape[0] == 3 and theirs.ndim == 4 else theirs
            assert np.abs(ours - theirs.astype(int)).max() <= 1, name


@pytest.mark.golden
def test_nothing_shared(golden_networks, golden, golden_dir):
    stored = golden(min(pipelines(golden_dir), key=lambda n: golden(n)["params"]["frames"]))
    final = run_golden(MagicAnimatePipeline(golden_networks, CPU, sharing=False), stored, output="latents")
    assert (final - frames_first(stored["final_latents"])).abs().max() < LIMIT


@pytest.mark.golden
def test_windows_in_batches(golden_networks, golden, golden_dir):
    stored = golden(max(pipelines(golden_dir), key=lambda n: golden(n)["params"]["frames"]))
    for sharing in (True, False):
        batched = MagicAnimatePipeline(golden_networks, CPU, sharing=sharing, window_batch=2)
        final = run_golden(batched, stored, output="latents")
        assert (final - frames_first(stored["final_latents"])).abs().max() < LIMIT


@pytest.mark.golden
def test_networks_in_the_memory_format_of_gpus(golden_weights, golden, golden_dir):
    stored = golden(min(pipelines(golden_dir), key=lambda n: golden(n)["params"]["frames"]))
    networks = load_networks(golden_weights, torch.float32)
    for network in (networks.unet, networks.controlnet, networks.vae):
        network.to(memory_format=torch.channels_last)
    final = run_golden(MagicAnimatePipeline(networks, CPU), stored, output="latents")
    assert (final - frames_first(stored["final_latents"])).abs().max() < LIMIT


@pytest.mark.golden
def test_attention_in_slices(golden_networks, golden, golden_dir, monkeypatch):
    """As on a device without fused kernels, with room for few scores: sliced by rows and by queries."""
    monkeypatch.setattr("inference_server.models.attention.SCORES_BYTES", 2**15)
    monkeypatch.setattr("inference_server.engines.device.has_fused_kernel", lambda *_: False)
    stored = golden(min(pipelines(golden_dir), key=lambda n: golden(n)["params"]["frames"]))
    pipeline = MagicAnimatePipeline(golden_networks, CPU)
    assert not pipeline.attention.fused
    final = run_golden(pipeline, stored, output="latents")
    assert (final - frames_first(stored["final_latents"])).abs().max() < LIMIT


@pytest.mark.golden
def test_decoding(pipeline, golden):
    stored = golden("vae_decode")
    frames = np.stack([image for _, image in pipeline.decode(frames_first(stored["latents"]))])
    theirs = stored["video_b_c_f_h_w"][0].permute(1, 2, 3, 0).numpy() * 255
    assert np.abs(frames - theirs).max() <= 0.51


def test_decoding_in_batches(golden_networks):
    pipeline = MagicAnimatePipeline(golden_networks, CPU)
    latents = torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    chosen = [5, 0, 3, 4, 1]
    single = list(pipeline.decode(latents, chosen))
    pipeline.decode_batch = 2
    batched = list(pipeline.decode(latents, chosen))
    assert [frame for frame, _ in batched] == chosen
    assert all(np.abs(a.astype(int) - b).max() <= 1 for (_, a), (_, b) in zip(single, batched, strict=True))


@pytest.mark.golden
def test_preprocessing(pipeline, golden):
    stored = golden("preprocess")
    height, width = stored["source_resized_u8_hwc"].shape[:2]

    def resize(image):
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))

    source = resize(stored["source_u8_hwc"].numpy())
    assert np.array_equal(source, stored["source_resized_u8_hwc"].numpy())
    assert (pipeline.encode(source) - stored["reference_latents"]).abs().max() < 5e-5
    driving = np.stack([resize(frame) for frame in stored["driving_u8_nhwc"].numpy()])
    assert np.array_equal(driving[:2], stored["driving_resized_u8_first2"].numpy())
    corner = pipeline._condition(driving[:1])[0, :, :16, :16]
    assert torch.equal(corner, stored["controlnet_cond_first_frame_topleft16"])


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture
def rows_of():
    """rows_of(network): a list that gets the rows of every call of the network from now on."""
    hooks = []

    def watch(network):
        rows = []
        hooks.append(network.register_forward_pre_hook(lambda _network, args: rows.append(len(args[0]))))
        return rows

    yield watch
    for hook in hooks:
        hook.remove()


def labels(frames, height=64, width=64):
    return np.random.default_rng(1).integers(0, 25, (frames, height, width), np.uint8)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("frames", [1, 5, 17])
def test_any_guidance_and_any_frame_count(pipeline, picture, frames, guidance):
    out = pipeline(picture, labels(frames), steps=1, guidance_scale=guidance)
    assert out.shape == (frames, 64, 64, 3)
    assert out.dtype == np.uint8
    assert out.std() > 1


@pytest.mark.parametrize("windows", ["open", "original", "loop"])
@pytest.mark.parametrize(("height", "width"), [(40, 72), (64, 8)])
def test_any_size_in_multiples_of_eight(pipeline, windows, height, width):
    picture = np.full((height, width, 3), 128, np.uint8)
    out = pipeline(picture, labels(18, height, width), steps=1, windows=windows)
    assert out.shape == (18, height, width, 3)


def test_padding_takes_part_but_is_cut_off(pipeline, picture):
    plain = pipeline(picture, labels(18), steps=1, output="latents")
    padded = pipeline(picture, labels(18), steps=1, pad_to_multiple=16, output="latents")
    assert plain.shape == padded.shape
    assert not torch.equal(plain, padded)


def test_same_seed_same_frames_and_references_come_from_the_store(pipeline, picture, rows_of):
    encoded = rows_of(pipeline.networks.appearance)
    first = pipeline(picture, labels(4), steps=2, seed=7)
    assert encoded == [1, 1]  # one guidance half, once per step
    assert np.array_equal(first, pipeline(picture, labels(4), steps=2, seed=7))
    assert encoded == [1, 1]
    assert not np.array_equal(first, pipeline(picture, labels(4), steps=2, seed=8))
    assert not np.array_equal(first, pipeline(255 - picture, labels(4), steps=2, seed=7))


def test_pose_residuals_and_hints_are_computed_once_per_frame(pipeline, picture, rows_of):
    controlnet = pipeline.networks.controlnet
    residuals, hints = rows_of(controlnet), rows_of(controlnet.controlnet_cond_embedding)
    pipeline(picture, labels(32), steps=2, output="latents")
    assert residuals == [16, 12, 4] * 2  # three windows, which share 4 and 12 frames
    assert sum(hints) == 32


def test_grey_and_transparent_references():
    grey = np.full((8, 8), 90, np.uint8)
    assert (as_rgb(grey) == 90).all()
    clear = np.zeros((8, 8, 4), np.uint8)
    assert (as_rgb(clear) == 255).all()
    with pytest.raises(UserError, match="shape"):
        as_rgb(np.zeros((8, 8, 3)))


def test_cancel(pipeline, picture):
    def cancel(done, _latents, _clean):
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        pipeline(picture, labels(4), steps=3, on_step=cancel)


@pytest.mark.parametrize(
    ("maps", "options", "says"),
    [
        (labels(0), {}, "no part maps"),
        (labels(2, 72, 64), {}, "64 x 64"),
        (labels(2), {"context_frames": 99}, "window"),
        (labels(2), {"context_frames": 4, "context_overlap": 4}, "window"),
        (labels(2), {"latents": torch.zeros(3, 4, 8, 8)}, "starting noise"),
    ],
)
def test_inputs_that_do_not_fit(pipeline, picture, maps, options, says):
    with pytest.raises(UserError, match=says):
        pipeline(picture, maps, **options)


def test_a_size_that_is_no_multiple_of_eight(pipeline):
    with pytest.raises(UserError, match="multiples of 8"):
        pipeline(np.zeros((60, 64, 3), np.uint8), labels(2, 60, 64))


@pytest.mark.parametrize(("dtype", "limit"), [("fp16", 0.02), ("bf16", 0.15)])
def test_half_precision_runs_on_the_cpu_too(golden_weights, pipeline, picture, dtype, limit):
    exact = pipeline(picture, labels(18), steps=2, output="latents")
    half = MagicAnimatePipeline.from_folder(golden_weights, device="cpu", dtype=dtype)
    rough = half(picture, labels(18), steps=2, output="latents")
    error = (rough - exact).abs().mean() / exact.std()
    assert 0 < error < limit


@pytest.mark.slow
def test_compiled_layers_compute_the_same(golden_weights, pipeline):
    picture, maps = np.full((128, 128, 3), 90, np.uint8), labels(2, 128, 128)
    exact = pipeline(picture, maps, steps=1, output="latents")
    compiled = MagicAnimatePipeline.from_folder(golden_weights, device="cpu", compiled=True)
    assert (compiled(picture, maps, steps=1, output="latents") - exact).abs().max() < LIMIT
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
