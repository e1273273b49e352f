"""The engine behind its protocol: trajectories that go on, results that are built upon, faults that say so."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

from inference_server.engines.magicanimate.engine import MagicAnimateEngine, load
from inference_server.engines.magicanimate.info import MagicAnimateSettings
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.options import EngineOptions
from inference_server.engines.protocol import Base, Progress, Task
from inference_server.engines.registry import ENGINES, find_engine
from inference_server.errors import Cancelled, UserError
from inference_server.weights.manifest import Manifest, tree_hash

FRAMES, STEPS = 26, 3


class Killed(Exception):
    """Stands for a process that ends between two steps."""


@pytest.fixture(scope="module")
def engine(golden_networks, golden_weights):
    return MagicAnimateEngine(golden_weights, MagicAnimatePipeline(golden_networks, torch.device("cpu")))


@pytest.fixture(scope="module")
def calls(engine):
    """How often the UNet ran since `calls.clear()`."""
    taken = []
    hook = engine.pipeline.networks.unet.register_forward_hook(lambda *_: taken.append(1))
    yield taken
    hook.remove()


def maps(changed=()):
    labels = np.zeros((FRAMES, 64, 64), np.uint8)
    labels[:, 16:48, 24:40] = 2
    for frame in changed:
        labels[frame, 8:16, 8:24] = 23
    return labels


def task(labels, **fields):
    settings = MagicAnimateSettings(**{"steps": STEPS, **fields.pop("settings", {})})
    picture = np.full((64, 64, 3), 90, np.uint8)
    return Task(reference=picture, tracks={"densepose": labels}, settings=settings, **fields)


def run(engine, given, report=lambda _progress: None):
    return dict(engine.animate(given, report))


@pytest.fixture(scope="module")
def base(engine, tmp_path_factory):
    """A finished run with its trajectory."""
    folder = tmp_path_factory.mktemp("base") / "trajectory"
    return folder, run(engine, task(maps(), trajectory=folder))


def stop_after(step):
    def report(progress):
        if progress.stage == "denoising" and progress.step == step:
            raise Killed

    return report


def test_all_frames_come_in_order_with_progress(engine):
    seen: list[Progress] = []
    frames = run(engine, task(maps()), seen.append)
    assert list(frames) == list(range(FRAMES))
    heard = [(p.step, p.part) for p in seen if p.stage == "denoising"]
    assert heard == [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5), (2, 0.0), (2, 0.5), (3, 0.0)]
    assert seen[-1] == Progress("decoding", STEPS, STEPS, FRAMES, FRAMES)


def test_previews_are_decoded_for_those_who_look(engine, monkeypatch):
    decoded = []
    decode = engine.pipeline.decode
    monkeypatch.setattr(engine.pipeline, "decode", lambda *args, **kw: decoded.append(1) or decode(*args, **kw))
    seen: list[Progress] = []
    run(engine, task(maps()), seen.append)
    assert len(decoded) == 1, "of the frames themselves"
    assert all(p.preview is None for p in seen)
    run(engine, task(maps(), previews=True), seen.append)
    previews = [p for p in seen if p.preview is not None]
    assert previews[-1].step == STEPS
    assert previews[-1].preview.shape == (64, 64, 3)


def test_a_long_step_shows_what_it_has_done(engine, monkeypatch):
    monkeypatch.setattr("inference_server.engines.magicanimate.engine.PREVIEW_WITHIN_STEP", 0.0)
    seen: list[Progress] = []
    run(engine, task(maps(), previews=True), seen.append)
    assert [(p.step, p.part) for p in seen if p.preview is not None and p.part] == [(0, 0.5), (1, 0.5), (2, 0.5)]


def test_cancelled_within_a_step_no_other_window_is_computed(engine, calls):
    def cancel(progress):
        if progress.step == 1 and progress.part:
            raise Cancelled

    calls.clear()
    with pytest.raises(Cancelled):
        run(engine, task(maps()), cancel)
    assert len(calls) == 3


@pytest.fixture
def overflowing():
    """overflowing(engine, call): what its UNet predicts from that call on is not a number."""
    hooks = []

    def begin(engine, first):
        network, seen = engine.pipeline.networks.unet, []

        def spoil(_network, _args, out):
            seen.append(1)
            return out * float("nan") if len(seen) > first else out

        hooks.append(network.register_forward_hook(spoil))

    yield begin
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(("dtype", "code"), [("fp16", "overflow"), ("fp32", "not-finite")])
def test_numbers_out_of_range_are_never_shown(golden_weights, overflowing, dtype, code):
    engine = load(golden_weights, EngineOptions(device="cpu", dtype=dtype))
    overflowing(engine, 3)
    with pytest.raises(UserError, match="step 2") as caught:
        run(engine, task(maps()))
    assert caught.value.code == code


def test_what_was_sound_before_the_overflow_is_kept(engine, overflowing, tmp_path):
    given = task(maps(), trajectory=tmp_path / "t")
    overflowing(engine, 3)
    with pytest.raises(UserError):
        run(engine, given)
    assert json.loads((tmp_path / "t" / "run.json").read_text())["done"] == 1


def test_a_picture_out_of_range_is_never_shown(engine, monkeypatch):
    decode = engine.pipeline.networks.vae.decode

    def spoilt(sample):
        out = decode(sample)
        out.sample[:, :, 0, 0] = float("inf") if len(seen) == 5 else 0
        return out

    seen: list[int] = []
    monkeypatch.setattr(engine.pipeline.networks.vae, "decode", spoilt)
    frames = (seen.append(frame) for frame, _ in engine.animate(task(maps()), lambda _progress: None))
    with pytest.raises(UserError, match="picture of frame 6"):
        list(frames)
    assert seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("killed_at", range(STEPS + 1))
def test_a_killed_run_goes_on_bit_for_bit(engine, base, tmp_path, killed_at, calls):
    given = task(maps(), trajectory=tmp_path / "t")
    with pytest.raises(Killed):
        run(engine, given, stop_after(killed_at))
    calls.clear()
    frames = run(engine, given)
    assert len(calls) == (STEPS - killed_at) * 2  # two windows a step
    assert all(np.array_equal(frames[n], image) for n, image in base[1].items())


def test_solvers_with_memory_begin_again(engine, tmp_path):
    settings = {"solver": "unipc"}
    whole = run(engine, task(maps(), settings=settings))
    given = task(maps(), settings=settings, trajectory=tmp_path / "t")
    with pytest.raises(Killed):
        run(engine, given, stop_after(2))
    assert all(np.array_equal(whole[n], image) for n, image in run(engine, given).items())


def test_another_task_does_not_take_up_a_foreign_trajectory(engine, base, tmp_path):
    folder = tmp_path / "t"
    shutil.copytree(base[0], folder)
    frames = run(engine, task(maps(range(FRAMES)), trajectory=folder))
    assert not np.array_equal(frames[0], base[1][0])


def test_steps_of_other_weights_are_not_gone_on_with(engine, tmp_path, calls):
    given = task(maps(), trajectory=tmp_path / "t", weights="of yesterday")
    with pytest.raises(Killed):
        run(engine, given, stop_after(2))
    calls.clear()
    run(engine, dataclasses.replace(given, weights="of today"))
    assert len(calls) == STEPS * 2, "from the first step on"


def test_only_what_changed_is_computed(engine, base, tmp_path, calls):
    changed = {2}
    calls.clear()
    frames = run(engine, task(maps(changed), trajectory=tmp_path / "t", base=Base(base[0], frozenset(changed))))
    assert set(frames) == set(range(0, 7))  # widened by the overlap
    assert len(calls) == STEPS  # the second window, frames 10 to 25, never runs
    assert not np.array_equal(frames[2], base[1][2])


def test_all_changed_is_a_full_run_bit_for_bit(engine, base):
    every = frozenset(range(FRAMES))
    full = run(engine, task(maps(every)))
    partial = run(engine, task(maps(every), base=Base(base[0], every)))
    assert all(np.array_equal(full[n], partial[n]) for n in every)


def test_nothing_changed_computes_nothing(engine, base, calls):
    calls.clear()
    assert run(engine, task(maps(), base=Base(base[0], frozenset()))) == {}
    assert not calls


def test_kept_frames_stay_and_a_partial_result_can_be_built_upon(engine, base, tmp_path):
    first = Base(base[0], frozenset({2}), keep=frozenset({1, 3}))
    frames = run(engine, task(maps({2}), trajectory=tmp_path / "one", base=first))
    assert set(frames) == {0, 2, 4, 5, 6}
    again = run(engine, task(maps({2}), base=Base(tmp_path / "one", frozenset({20}))))
    assert set(again) == set(range(16, 25))


def test_an_inserted_frame_costs_its_neighbourhood(engine, base):
    sources = (*range(10), None, *range(10, FRAMES))
    labels = np.insert(maps(), 10, maps({0})[0], axis=0)
    frames = run(engine, task(labels, base=Base(base[0], frozenset(), sources=sources)))
    assert set(frames) == set(range(6, 12))  # around frame 12 the second window would show more, but does not run


def test_a_removed_frame_costs_both_sides_of_the_cut(engine, base):
    sources = tuple(n for n in range(FRAMES) if n != 20)
    frames = run(engine, task(maps()[:-1], base=Base(base[0], frozenset(), sources=sources)))
    assert set(frames) == set(range(15, 25))


def test_a_trimmed_result_computes_nothing_and_can_be_built_upon(engine, base, tmp_path, calls):
    trimmed, sources = maps()[5:], tuple(range(5, FRAMES))
    calls.clear()
    given = task(trimmed, trajectory=tmp_path / "t", base=Base(base[0], frozenset(), sources=sources))
    assert run(engine, given) == {}
    assert not calls
    again = run(engine, task(trimmed, base=Base(tmp_path / "t", frozenset({0}))))
    assert set(again) == set(range(5))


def test_frames_that_pad_the_clip_are_not_given_out(engine, tmp_path):
    settings = {"windows": "original"}  # 26 frames are computed as 32
    whole = run(engine, task(maps(), settings=settings, trajectory=tmp_path / "t"))
    changed = Base(tmp_path / "t", frozenset({FRAMES - 1}))
    frames = run(engine, task(maps({FRAMES - 1}), settings=settings, base=changed))
    over_the_seam = {0, 1, 2, 3}  # these windows join the last frame and the first
    assert (len(whole), set(frames)) == (FRAMES, set(range(FRAMES - 5, FRAMES)) | over_the_seam)


def test_other_noise_for_redone_frames(engine, base):
    redo = Base(base[0], frozenset({2}))
    same = run(engine, task(maps(), base=redo))
    other = run(engine, task(maps(), base=redo, settings={"redo_seed": 99}))
    assert not np.array_equal(same[2], other[2])


def write_record(folder, record):
    """A whole record, as another run would have written it."""
    del record["sha256"]
    sha256 = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    (folder / "run.json").write_text(json.dumps({**record, "sha256": sha256}))


@pytest.mark.parametrize("fault", ["gone", "cut", "settings", "frames", "unfinished", "weights", "strength", "older"])
def test_an_unusable_base_says_why(engine, base, tmp_path, fault):
    folder, labels, settings, weights = tmp_path / "t", maps(), {}, ""
    shutil.copytree(base[0], folder)
    if fault == "gone":
        shutil.rmtree(folder)
    elif fault == "cut":
        with (folder / "history.f16").open("r+b") as file:
            file.truncate(1000)
    elif fault == "settings":
        settings = {"seed": 5}
    elif fault == "frames":
        labels = labels[:-1]
    elif fault == "weights":
        weights = "of others"
    elif fault == "strength":
        settings = {"pose_strength": 0.5}
    elif fault == "older":
        record = json.loads((folder / "run.json").read_text())
        del record["facts"]["weights"]
        write_record(folder, record)
    else:
        record = json.loads((folder / "run.json").read_text())
        write_record(folder, {**record, "done": 1})
    with pytest.raises(UserError) as caught:
        run(engine, task(labels, base=Base(folder, frozenset({0})), settings=settings, weights=weights))
    assert caught.value.code == "base-unusable"
    expected = {"gone": "not kept", "cut": "incomplete", "settings": "seed", "frames": "26 frames"}
    expected |= {"weights": "weights changed", "strength": "pose_strength changed", "older": "weights changed"}
    assert expected.get(fault, "incomplete") in str(caught.value)


def test_a_draft_starts_from_the_noise_of_its_final(engine):
    noise = []
    for solver, steps in (("ddim", 3), ("dpmpp_2m", 2), ("unipc", 2)):
        start = engine.pipeline.prepare(
            np.zeros((64, 64, 3), np.uint8), maps(), steps=steps, guidance=[1.0] * steps, seed=7, solver=solver
        )
        noise.append(start.latents / start.solver.init_noise_sigma)
    assert torch.equal(noise[0], noise[1])
    assert torch.equal(noise[0], noise[2])


def test_cancel_keeps_the_steps_done(engine, tmp_path):
    def cancel(progress):
        if progress.step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(engine, task(maps(), trajectory=tmp_path / "t"), cancel)
    assert json.loads((tmp_path / "t" / "run.json").read_text())["done"] == 2


def test_the_recipe_can_name_device_and_weights(engine):
    facts = engine.describe()
    assert facts["dtype"] == "float32"
    assert len(facts["weights"]) == 6
    assert all(len(digest) == 64 for digest in facts["weights"].values())
    assert facts["notes"] == []


def test_hashes_of_weights_are_the_manifests_and_nothing_is_read_again(golden_networks, golden_weights, tmp_path):
    tree = shutil.copytree(golden_weights, tmp_path / "tree")
    files = [tree / path.relative_to(golden_weights) for path in golden_networks.files]
    for number, path in enumerate(files):
        Manifest(tree).record(path, f"{number:064}")
    networks = dataclasses.replace(golden_networks, files=tuple(files))
    engine = MagicAnimateEngine(tree, MagicAnimatePipeline(networks, torch.device("cpu")))
    assert sorted(engine.describe()["weights"].values()) == [f"{number:064}" for number in range(len(files))]
    before = tree_hash(tree)
    files[0].write_bytes(files[0].read_bytes() + b" ")
    assert tree_hash(tree) != before


def test_registry_and_schema():
    assert find_engine("magicanimate") is ENGINES["magicanimate"]
    with pytest.raises(UserError, match="Choose one of: magicanimate"):
        find_engine("nothing")
    schema = MagicAnimateSettings.model_json_schema()
    assert schema["properties"]["steps"]["default"] == 25
    with pytest.raises(ValueError, match="smaller"):
        MagicAnimateSettings(context_frames=4, context_overlap=4)
    with pytest.raises(ValueError, match="finite"):
        MagicAnimateSettings(guidance_scale=float("nan"))
