"""The loop with a predictor that mixes frames of a window, so that a wrong neighbour shows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.engines.memory import LiveBytes
from inference_server.errors import Cancelled
from inference_server.sampling.denoise import denoise
from inference_server.sampling.noise import starting_noise
from inference_server.sampling.partial import plan_changes
from inference_server.sampling.solver import MAGICANIMATE_SCHEDULE, make_solver
from inference_server.sampling.windows import plan_windows

STEPS = 4


class Kept:
    """Exact latents of a run, as `KeptLatents`."""

    def __init__(self, latents):
        self.rows = [latents.clone()]

    def __call__(self, _done, latents, _clean):
        self.rows.append(latents.clone())

    def at(self, step, frames):
        return self.rows[step][list(frames)]


class Still:
    """Latents that are the same at every step, as `KeptLatents`."""

    def __init__(self, latents):
        self.latents = latents

    def at(self, _step, frames):
        return self.latents[list(frames)]


def mixing(maps, calls):
    """Noise that depends on all frames of the window and on the frame's own map."""

    def predict(step, windows, latents):
        calls.extend((step, window) for window in windows)
        parts = zip(windows, latents.chunk(len(windows)), strict=True)
        return torch.cat([of_window(window, part) for window, part in parts])

    def of_window(window, latents):
        own = torch.tensor([maps[frame] for frame in window]).view(-1, 1, 1, 1)
        return 0.5 * latents + 0.3 * latents.mean(0) + 0.1 * own

    return predict


def run(frames, maps, *, mode="open", **partial):
    latents = starting_noise(1, frames, (2, 2, 2))
    kept, calls = Kept(latents), []
    windows = plan_windows(frames, 6, 2, mode)
    if "changed" in partial:
        windows, partial["active"] = plan_changes(windows, partial.pop("changed"), 2)
    solver = make_solver("ddim", STEPS, MAGICANIMATE_SCHEDULE)
    final = denoise(latents, solver, windows, mixing(maps, calls), on_step=kept, **partial)
    return final, kept, calls


clips = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1))))


@settings(max_examples=60)
@given(clips, st.sampled_from(["open", "loop", "original"]))
def test_frames_outside_the_active_set_are_untouched(clip, mode):
    frames, changed = clip
    _, active = plan_changes(plan_windows(frames, 6, 2, mode), changed, 2)
    base, kept, _ = run(frames, [0.0] * frames, mode=mode)
    maps = [float(frame in active) for frame in range(frames)]
    final, own, calls = run(frames, maps, mode=mode, changed=changed, kept=kept)
    still = sorted(set(range(frames)) - active)
    assert torch.equal(final[still], base[still])
    assert all(set(window) & changed for _, window in calls)
    assert not changed or not torch.equal(final[sorted(changed)], base[sorted(changed)])
    for step in range(1, len(own.rows)):
        assert torch.equal(own.rows[step][still], kept.rows[step][still])


@given(st.integers(1, 40))
def test_all_active_is_a_full_run_bit_for_bit(frames):
    _, kept, _ = run(frames, [0.0] * frames)
    maps = [float(frame % 3) for frame in range(frames)]
    full, _, _ = run(frames, maps)
    partial, _, _ = run(frames, maps, changed=range(frames), kept=kept)
    assert torch.equal(full, partial)


@given(st.integers(1, 40), st.integers(2, 5))
def test_windows_predicted_together_give_the_same(frames, batch):
    maps = [float(frame % 3) for frame in range(frames)]
    assert torch.equal(run(frames, maps)[0], run(frames, maps, batch=batch)[0])


@pytest.mark.parametrize("name", ["ddim", "dpmpp_2m", "unipc"])
def test_frames_that_step_window_by_window_end_where_a_whole_clip_would(name):
    frames, maps = 23, [float(frame % 3) for frame in range(23)]
    latents, solver = starting_noise(1, frames, (2, 2, 2)), make_solver(name, STEPS, MAGICANIMATE_SCHEDULE)
    windows, predict = plan_windows(frames, 6, 2), mixing(maps, [])
    ours = denoise(latents.clone(), solver, windows, predict, on_step=lambda *_: None, batch=2)
    for step in range(STEPS):
        noise, count = torch.zeros_like(latents), torch.zeros(frames, 1, 1, 1)
        for window in windows:
            noise[list(window)] += predict(step, [window], latents[list(window)])
            count[list(window)] += 1
        latents = solver.step(noise / count, solver.timesteps[step], latents, return_dict=False)[0]
    assert torch.equal(ours, latents)


def test_the_estimate_of_watched_frames_is_the_last_latents_of_the_last_step():
    """With `ddim` the last step goes to the clean latents themselves."""
    seen = []
    solver = make_solver("ddim", STEPS, MAGICANIMATE_SCHEDULE)
    final = denoise(
        starting_noise(1, 20, (2, 2, 2)), solver, plan_windows(20, 6, 2), mixing([0.0] * 20, []),
        on_step=lambda _done, _latents, clean: seen.append(clean.clone()), watched=[13, 2],
    )  # fmt: skip
    assert [clean.shape for clean in seen] == [(2, 2, 2, 2)] * STEPS
    assert torch.allclose(seen[-1], final[[13, 2]], atol=1e-5)


@pytest.mark.parametrize("partial", [False, True])
def test_memory_of_the_loop_does_not_depend_on_the_length_of_the_clip(partial):
    peaks = []
    for frames in (64, 512):
        latents, windows = starting_noise(1, frames, (4, 8, 8)), plan_windows(frames, 16, 4)
        options = {"kept": Still(latents), "active": range(16)} if partial else {}
        solver = make_solver("ddim", STEPS, MAGICANIMATE_SCHEDULE)
        with LiveBytes() as counted:
            denoise(latents, solver, windows, mixing([0.0] * frames, []), on_step=lambda *_: None, **options)
        peaks.append(counted.peak)
    assert peaks[1] <= 1.05 * peaks[0]


def test_none_active_computes_nothing():
    base, kept, _ = run(20, [0.0] * 20)
    final, _, calls = run(20, [1.0] * 20, changed=(), kept=kept)
    assert not calls
    assert torch.equal(final, base)


def test_goes_on_from_a_step_as_if_nothing_had_happened():
    full, kept, _ = run(20, [0.0] * 20)
    solver = make_solver("ddim", STEPS, MAGICANIMATE_SCHEDULE)
    resumed = denoise(
        kept.rows[2], solver, plan_windows(20, 6, 2), mixing([0.0] * 20, []), on_step=lambda *_: None, start=2
    )
    assert torch.equal(full, resumed)


@pytest.mark.parametrize("batch", [1, 2])
def test_every_round_of_windows_is_told(batch):
    told = []
    final = denoise(
        starting_noise(1, 22, (2, 2, 2)), make_solver("ddim", 1, MAGICANIMATE_SCHEDULE), plan_windows(22, 6, 2),
        mixing([0.0] * 22, []), on_step=lambda done, *_: told.append((done, 0.0, None)),
        on_round=lambda *args: told.append(args), batch=batch,
    )  # fmt: skip
    rounds = 5 // batch + 5 % batch
    assert [(step, part) for step, part, _ in told] == [(0, n / rounds) for n in range(1, rounds)] + [(1, 0.0)]
    first = told[0][2]
    assert first.shape == (1, 2, 2, 2)
    assert any(torch.allclose(first[0], frame, atol=1e-5) for frame in final[: 4 * batch])


def test_cancel_takes_effect_within_a_step():
    calls = []

    def cancel(step, part, _clean):
        if step == 1 and part > 0.5:
            raise Cancelled

    solver = make_solver("ddim", STEPS, MAGICANIMATE_SCHEDULE)
    with pytest.raises(Cancelled):
        denoise(
            starting_noise(1, 22, (2, 2, 2)), solver, plan_windows(22, 6, 2), mixing([0.0] * 22, calls),
            on_step=lambda *_: None, on_round=cancel,
        )  # fmt: skip
    assert [step for step, _ in calls] == [0] * 5 + [1] * 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_out_of_range_end_the_run_with_sound_latents(bad):
    sound = []

    def predict(step, windows, latents):
        noise = mixing([0.0] * 20, [])(step, windows, latents)
        if step == 2:
            noise[3, 1, 0, 0] = bad
        return noise

    solver = make_solver("ddim", STEPS, MAGICANIMATE_SCHEDULE)
    with pytest.raises(FloatingPointError, match="step 3"):
        denoise(
            starting_noise(1, 20, (2, 2, 2)), solver, plan_windows(20, 6, 2), predict,
            on_step=lambda _done, latents, _clean: sound.append(latents.isfinite().all()),
        )  # fmt: skip
    assert sound == [True, True]
