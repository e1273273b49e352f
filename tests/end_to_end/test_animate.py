"""`python -m inference_server animate` from files to files: a real clip to its last frame, and every bad input."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from inference_server import cli
from inference_server.media.labels import PALETTE
from inference_server.provenance.credentials import read_credentials
from inference_server.provenance.identity import local_identity

QUICK = ["--size", "64x64", "--steps", "1"]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("input") / "person.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def part_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("part-maps")
    labels = np.zeros((64, 64), np.uint8)
    for frame in range(3):
        labels[16:48, 20 + frame : 40 + frame] = 2
        Image.fromarray(PALETTE[labels]).save(folder / f"{frame:03d}.png")
    return folder


def command(weights: Path, reference: Path, densepose: Path, out: Path) -> list[str]:
    places = {"--weights": weights, "--reference": reference, "--densepose": densepose, "--out": out}
    return ["animate", "--consent", *(str(word) for pair in places.items() for word in pair), *QUICK]


def test_a_real_clip_to_its_last_frame(real_data: Path, golden_weights: Path, tmp_path: Path) -> None:
    clip, person = real_data / "densepose_dancing2.mp4", real_data / "reference_person.jpeg"
    arguments = command(golden_weights, person, clip, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-m", "inference_server", *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    with av.open(clip) as source, av.open(tmp_path / "out/video.mp4") as video:
        count, rate = source.streams.video[0].frames, source.streams.video[0].average_rate
        assert sum(1 for _ in video.decode(video=0)) == count
        assert video.streams.video[0].average_rate == rate
    frames = sorted((tmp_path / "out/frames").iterdir())
    assert len(frames) == count
    pictures = [np.asarray(Image.open(path)) for path in frames]
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    assert (pictures[0] != pictures[-1]).any()
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert (recipe["frames"], recipe["fps"], recipe["settings"]["steps"]) == (count, float(rate), 1)


def missing(path: Path) -> Path:
    return path.with_name("nowhere.png")


def cut_short(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:500])
    return path


def huge(path: Path) -> Path:
    Image.new("1", (20_000, 20_000)).save(path)
    return path


def no_picture(path: Path) -> Path:
    path.write_text("a letter, not a picture")
    return path


@pytest.mark.parametrize("spoil", [missing, cut_short, huge, no_picture])
def test_a_bad_reference_is_named(
    spoil, picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = spoil(Path(shutil.copy(picture, tmp_path / "bad.png")))
    refuses(command(golden_weights, bad, part_maps, tmp_path / "out"), bad.name, capsys)


def no_frames(folder: Path) -> Path:
    path = folder / "empty.mp4"
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
    return path


def empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


def other_colours(folder: Path) -> Path:
    (folder / "red").mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "red/0.png")
    return folder / "red/0.png"


def one_map_cut_short(folder: Path) -> Path:
    (folder / "maps").mkdir()
    Image.fromarray(PALETTE[np.zeros((64, 64), np.uint8)]).save(folder / "maps/0.png")
    (folder / "maps/1.png").write_bytes((folder / "maps/0.png").read_bytes()[:60])
    return folder / "maps/1.png"


@pytest.mark.parametrize("make", [no_frames, empty_folder, other_colours, one_map_cut_short])
def test_bad_part_maps_are_named(
    make, picture: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = make(tmp_path)
    densepose = bad.parent if bad.suffix == ".png" else bad
    refuses(command(golden_weights, picture, densepose, tmp_path / "out"), bad.name, capsys)


def test_a_weight_file_that_was_cut_short_is_named(
    picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(golden_weights, weights)
    bad = weights / "MagicAnimate/densepose_controlnet/diffusion_pytorch_model.safetensors"
    bad.write_bytes(bad.read_bytes()[:-1000])
    refuses(command(weights, picture, part_maps, tmp_path / "out"), str(bad.relative_to(weights)), capsys)


def test_no_picture_is_used_without_consent(
    picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [word for word in command(golden_weights, picture, part_maps, tmp_path / "out") if word != "--consent"]
    refuses(arguments, "--consent", capsys)


def test_results_carry_content_credentials(
    picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    out = tmp_path / "out"
    assert cli.main(command(golden_weights, picture, part_maps, out)) == 0
    recipe = json.loads((out / "recipe.json").read_text())
    for path in [*sorted((out / "frames").iterdir()), out / "video.mp4"]:
        found = read_credentials(path)
        assert found is not None, path
        assert not found["problems"] or all("untrusted" in each["code"] for each in found["problems"])
        assert recipe["reference"] in json.dumps(found["assertions"])
    identity = local_identity(tmp_path / "home" / "magicanimate" / "identity")
    assert recipe["signer"] == identity.fingerprint


def test_a_folder_without_weights_is_named(
    picture: Path, part_maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuses(command(tmp_path / "no-weights", picture, part_maps, tmp_path / "out"), "no-weights", capsys)


def test_an_earlier_result_is_not_overwritten_unasked(
    picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "out/frames/000000.png"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"dear to somebody")
    assert cli.main(command(golden_weights, picture, part_maps, tmp_path / "out")) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert earlier.read_bytes() == b"dear to somebody"


def refuses(arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, one line that names the thing and says more than that, and nothing left behind."""
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1, error
    assert name in error
    assert len(error.split(". ")) > 1, f"no way out: {error}"
    assert not Path(arguments[arguments.index("--out") + 1]).exists()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--size", "0x0", "512x768"),
        ("--size", "-64x64", "512x768"),
        ("--size", "64", "512x768"),
        ("--size", "100000x100000", "The largest size of this shape that fits is"),
        ("--size", "64x100000000", "fits"),
        ("--size", "60x64", "multiples of 8"),
        ("--fps", "-5", "0.01 to 1000"),
        ("--fps", "nan", "0.01 to 1000"),
        ("--fps", "inf", "0.01 to 1000"),
        ("--fps", "0", "0.01 to 1000"),
        ("--fps", "0.0001", "0.01 to 1000"),
        ("--fps", "1e9", "0.01 to 1000"),
        ("--steps", "0", "steps"),
        ("--guidance", "nan", "guidance_scale"),
        ("--pose-strength", "-1", "pose_strength"),
        ("--context", "99", "context_frames"),
        ("--seed", "-1", "seed"),
        ("--device", "abacus", "auto"),
        ("--dtype", "int8", "fp32"),
        ("--weights", "nothing-of-the-kind", "magicanimate, demo"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_is_computed(
    option: str,
    value: str,
    says: str,
    picture: Path,
    part_maps: Path,
    golden_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline

    monkeypatch.setattr(MagicAnimatePipeline, "from_folder", lambda *_, **__: pytest.fail("weights were loaded"))
    words = [*command(golden_weights, picture, part_maps, tmp_path / "out"), f"{option}={value}"]
    try:
        status = cli.main(words)
    except SystemExit as refused:  # argparse
        status = refused.code
    assert status == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_size_that_a_refusal_names_is_accepted(golden_weights: Path) -> None:
    from inference_server.engines.command import open_room
    from inference_server.errors import UserError

    room, run = open_room(golden_weights, "cpu", "auto"), {"frames": 3, "window": 16, "steps": 1}
    with pytest.raises(UserError) as caught:
        room.check(200_000, 100_000, **run)
    width, height = (int(word) for word in caught.value.fix.rstrip(".").split() if word.isdecimal())
    assert width > height > 1000
    assert room.estimate(width, height, **run).host < room.estimate(200_000, 100_000, **run).host
    room.check(width * 9 // 80 * 8, height * 9 // 80 * 8, **run)


def test_a_folder_that_cannot_be_written_is_told_first(
    picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    for out in (tmp_path / "file" / "out", tmp_path / "file", Path("/proc/none/out"), tmp_path / ("x" * 300)):
        assert cli.main(command(golden_weights, picture, part_maps, out)) == 2
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1, error
        assert str(out) in error
    assert (tmp_path / "file").read_text() == "no folder"


def test_foreign_files_are_not_deleted_even_if_asked_to_overwrite(
    picture: Path, part_maps: Path, golden_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = tmp_path / "out/frames/letter.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("dear")
    assert cli.main([*command(golden_weights, picture, part_maps, tmp_path / "out"), "--overwrite"]) == 2
    assert "letter.txt" in capsys.readouterr().err
    assert letter.read_text() == "dear"


class Stopped(Exception):
    pass


def stop_after(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline

    real = MagicAnimatePipeline.decode

    def decode(self, latents, chosen=None, **options):
        for count, pair in enumerate(real(self, latents, chosen, **options)):
            if count == frames and chosen is not None:
                raise Stopped
            yield pair

    monkeypatch.setattr(MagicAnimatePipeline, "decode", decode)


def test_computed_frames_outlive_what_ends_the_run(
    picture: Path,
    part_maps: Path,
    golden_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, words = tmp_path / "out", command(golden_weights, picture, part_maps, tmp_path / "out")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Stopped):
            cli.main(words)
    assert "2 frames are computed" in capsys.readouterr().err
    kept = {path.name: path.read_bytes() for path in (out / "frames.part").iterdir()}
    assert sorted(kept) == ["000000.png", "000001.png"]
    assert cli.main(words) == 2, "a new run does not wipe them away unasked"
    assert "cut short" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (out / "frames.part").iterdir()} == kept

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("inference_server.engines.output.write_mp4", full)
        assert cli.main([*words, "--overwrite"]) == 2
    error = capsys.readouterr().err
    assert "no space left" in error
    assert str(out / "frames") in error
    assert len(list((out / "frames").iterdir())) == 3
    assert not (out / "frames.part").exists()
    (out / "frames/000000.png").write_bytes(b"an earlier result")
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(Stopped):
            cli.main([*words, "--overwrite"])
    assert (out / "frames/000000.png").read_bytes() == b"an earlier result", "until the new one is whole"


def test_the_demo_weights_come_with_their_recommended_settings(
    picture: Path, part_maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from inference_server.engines.command import find_weights, read_settings
    from inference_server.weights.catalogue import find_entry

    bundled = find_entry("demo").bundled
    copied = shutil.copytree(bundled, tmp_path / "copy")
    for named in ("demo", bundled, copied):
        done = cli.main(
            [*command(named, picture, part_maps, tmp_path / "out"), "--overwrite", "--pose-strength", "0.5"]
        )
        assert done == 0
        assert "guidance scale 2.0" in capsys.readouterr().err
        recipe = json.loads((tmp_path / "out/recipe.json").read_text())
        assert (recipe["settings"]["guidance_scale"], recipe["settings"]["shared_noise"]) == (2.0, 0.9)
        assert recipe["settings"]["pose_strength"] == 0.5
        assert recipe["inputs"] == {"fit": "crop", "maps_off_palette": 0.0}

    def settings(*words: str) -> object:
        import argparse

        from inference_server.engines.command import add_arguments

        parser = argparse.ArgumentParser()
        add_arguments(parser)
        given = parser.parse_args([*command(bundled, picture, part_maps, tmp_path)[1:], *words])
        return read_settings(given, find_weights(given.weights)[1])

    assert settings("--guidance", "5").guidance_scale == 5.0, "what is given wins"
    assert settings("--guidance", "7.5").guidance_scale == 7.5, "the engine's default too, if it is given"
