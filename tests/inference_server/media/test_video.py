import threading
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.errors import UserError
from inference_server.media.images import write_png
from inference_server.media.limits import Limits
from inference_server.media.video import read_frames, write_mp4


def gradient(frames: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    rows = [np.stack([x * 3 % 256, y * 3 % 256, np.full_like(x, n * 9 % 256)], axis=-1) for n in range(frames)]
    return np.stack(rows).astype(np.uint8)


def refused(path: Path, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        read_frames(path, **options)
    return caught.value


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_mp4(path, gradient(12, 64, 64), 24.0)
    return path


@pytest.mark.parametrize("fps", [24.0, 23.976, 29.97, 12.5, 1.0])
def test_mp4_round_trip(tmp_path, fps):
    frames = gradient(5, 64, 48)
    write_mp4(tmp_path / "a.mp4", iter(frames), fps)
    clip = read_frames(tmp_path / "a.mp4")
    assert clip.frames.shape == frames.shape
    assert clip.fps == pytest.approx(fps, rel=1e-3)
    assert np.abs(clip.frames.astype(int) - frames).mean() < 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (90, 60, 40)])
def test_colours_survive(tmp_path, colour):
    write_mp4(tmp_path / "a.mp4", [np.full((16, 16, 3), colour, np.uint8)], 24)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert int(frame.colorspace) == 1
    assert np.abs(read_frames(tmp_path / "a.mp4").frames.astype(int) - colour).max() <= 4


@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1), (2, 3)])
def test_odd_sizes_get_their_edge_twice(tmp_path, height, width):
    write_mp4(tmp_path / "a.mp4", gradient(2, height, width), 24)
    assert read_frames(tmp_path / "a.mp4").frames.shape == (2, height + height % 2, width + width % 2, 3)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    def frames():
        yield np.zeros((8, 8, 3), np.uint8)
        raise RuntimeError("the artist pulled the plug")

    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        write_mp4(path, frames(), 24)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(UserError, match="no frames"):
        write_mp4(path, [], 24)


def test_a_folder_is_read_in_natural_order(tmp_path):
    for n in (10, 2, 1):
        write_png(tmp_path / f"frame{n}.png", np.full((4, 4, 3), n, np.uint8))
    clip = read_frames(tmp_path)
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert clip.fps is None
    write_png(tmp_path / "frame11.png", np.zeros((4, 6, 3), np.uint8))
    assert refused(tmp_path).code == "size-mismatch"


def test_what_is_missing_or_empty_is_named(tmp_path):
    assert refused(tmp_path / "gone.mp4").code == "file-missing"
    assert refused(tmp_path).code == "video-empty"
    (tmp_path / "empty.mp4").touch()
    assert refused(tmp_path / "empty.mp4").code == "video-unreadable"
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
    assert refused(sound).code == "video-empty"


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_a_file_cut_off_while_copying_is_refused(clip, tmp_path, share):
    data = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    error = refused(tmp_path / "cut.mp4")
    assert error.code in ("video-truncated", "video-unreadable")
    assert "cut.mp4" in error.message


def test_a_false_frame_count_costs_no_memory(clip, tmp_path):
    """The sample table claims 200 million frames of one size: the file must not be believed."""
    data = bytearray(clip.read_bytes())
    table = data.index(b"stsz") + 4
    data[table + 4 : table + 12] = (1).to_bytes(4, "big") + (200_000_000).to_bytes(4, "big")
    (tmp_path / "false.mp4").write_bytes(data)
    assert refused(tmp_path / "false.mp4").code in ("video-truncated", "video-unreadable", "video-empty")


def test_limits_hold_whatever_the_header_says(clip):
    assert refused(clip, limits=Limits(frames=5)).code == "video-too-large"
    assert refused(clip, limits=Limits(pixels=1000)).code == "video-too-large"
    assert refused(clip, limits=Limits(clip_pixels=64 * 64 * 3)).code == "video-too-large"


@settings(max_examples=40, deadline=2000)
@given(at=st.integers(0, 100_000), junk=st.binary(min_size=1, max_size=8))
def test_damaged_videos_do_no_more_than_a_clip_or_a_user_error(clip, tmp_path_factory, at, junk):
    data = bytearray(clip.read_bytes())
    at %= len(data)
    data[at : at + len(junk)] = junk
    path = tmp_path_factory.getbasetemp() / f"damaged{threading.get_ident()}.mp4"
    path.write_bytes(data)
    with suppress(UserError):
        assert read_frames(path).frames.ndim == 4
