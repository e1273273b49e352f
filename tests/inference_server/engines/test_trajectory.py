"""What went bad on the disk is never drawn: damaged steps count as absent, and the job still ends."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from inference_server.engines.trajectory import Trajectory
from inference_server.errors import UserError

SHAPE = (3, 4, 2, 2)
STEPS = 4
FACTS = {"seed": 1, "active": None}


def latents(step: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(step))


def run(folder: Path, steps: int = STEPS) -> Trajectory:
    trajectory = Trajectory(folder, STEPS, SHAPE, FACTS)
    trajectory.start(latents(0))
    for step in range(1, steps + 1):
        trajectory.save(step, latents(step))
    return trajectory


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def of_base(folder: Path) -> Trajectory:
    return Trajectory.of_base(folder, STEPS, SHAPE, FACTS)


def test_a_whole_run_is_a_base_and_gives_what_was_written(tmp_path):
    run(tmp_path)
    base = of_base(tmp_path)
    for step in range(STEPS + 1):
        assert torch.equal(base.at(step, [0, 2]), latents(step)[[0, 2]].half().float())
    assert torch.equal(base.final(), latents(STEPS))


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_one_flipped_bit_in_a_step_makes_the_base_unusable(tmp_path, step):
    run(tmp_path)
    row = 3 * 4 * 2 * 2 * 2
    flip(tmp_path / "history.f16", step * row + 5)
    with pytest.raises(UserError, match=f"step {step} is damaged") as caught:
        of_base(tmp_path)
    assert caught.value.code == "base-unusable"


def test_a_flipped_bit_in_the_exact_final_latents_is_found(tmp_path):
    run(tmp_path)
    flip(tmp_path / f"latest.{STEPS % 2}.npy", 140)
    with pytest.raises(UserError, match="final latents are damaged"):
        of_base(tmp_path).final()


def test_an_interrupted_run_goes_on_only_from_an_intact_step(tmp_path):
    run(tmp_path, 2)
    done, kept = Trajectory(tmp_path, STEPS, SHAPE, FACTS).start(latents(9))
    assert (done, torch.equal(kept, latents(2))) == (2, True)
    flip(tmp_path / "latest.0.npy", 140)
    done, kept = Trajectory(tmp_path, STEPS, SHAPE, FACTS).start(latents(9))
    assert (done, torch.equal(kept, latents(9))) == (0, True)


def test_a_resumed_run_is_a_good_base(tmp_path):
    run(tmp_path, 2)
    again = Trajectory(tmp_path, STEPS, SHAPE, FACTS)
    again.start(latents(0))
    for step in (3, 4):
        again.save(step, latents(step))
    assert torch.equal(of_base(tmp_path).final(), latents(4))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "null": lambda content: b"null",
    "a list": lambda content: b"[1]",
    "cut": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "without checksums": lambda content: content.replace(b"sha256", b"sha255"),
    "another number of steps done": lambda content: content.replace(b'"done": 4', b'"done": 3'),
}


@pytest.mark.parametrize("name", ["run.json", "latest.0.npy", "history.f16"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_an_unreadable_file_counts_as_absent(tmp_path, name, damage):
    run(tmp_path)
    content = (tmp_path / name).read_bytes()
    if DAMAGE[damage](content) == content:
        pytest.skip("this damage does not touch this file")
    (tmp_path / name).write_bytes(DAMAGE[damage](content))
    with pytest.raises(UserError) as caught:
        of_base(tmp_path).final()
    assert caught.value.code == "base-unusable"
    again = Trajectory(tmp_path, STEPS, SHAPE, FACTS)
    done, kept = again.start(latents(0))
    if name == "history.f16" and done == STEPS:
        assert torch.equal(kept, latents(STEPS)), "the exact latents are whole, so the run itself has ended"
        return
    assert (done, torch.equal(kept, latents(0))) == (0, True)
    for step in range(1, STEPS + 1):
        again.save(step, latents(step))
    assert torch.equal(of_base(tmp_path).final(), latents(STEPS))
