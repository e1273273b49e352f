import io
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference_server.errors import UserError
from inference_server.media.images import png_bytes, write_png
from inference_server.media.labels import (
    PALETTE,
    SOUND_DISTANCE,
    colours_from_labels,
    labels_from_colours,
    read_label_clip,
    read_labels,
    snap_to_palette,
)
from inference_server.media.video import read_frames, write_mp4


def ramp(*levels):
    """A colour table of so many levels of R, G and B, in between by lines."""
    stops = np.linspace(0, 1, len(levels))
    return lambda x: np.stack([np.interp(x, stops, c) for c in zip(*levels, strict=True)], axis=1).astype(np.uint8)


OTHER_TABLES = {
    "jet": ramp((0, 0, 128), (0, 0, 255), (0, 255, 255), (255, 255, 0), (255, 0, 0), (128, 0, 0)),
    "plasma": ramp((13, 8, 135), (126, 3, 168), (204, 71, 120), (248, 149, 64), (240, 249, 33)),
    "magma": ramp((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)),
    "grey": ramp((0, 0, 0), (255, 255, 255)),
}
"""Near enough to the tables of these names."""


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """24 parts as blocks of 8 x 8 on background."""
    image = np.zeros((64, 64), np.uint8)
    image[8:56, 16:48] = np.kron(np.arange(1, 25, dtype=np.uint8).reshape(6, 4), np.ones((8, 8), np.uint8))
    return image


def indexed(labels: np.ndarray, palette: np.ndarray = PALETTE) -> bytes:
    picture = Image.fromarray(labels, "P")
    picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def refused(read, *args, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        read(*args, **options)
    return caught.value


def test_indexed_grey_and_coloured_maps_hold_the_same_labels(labels, tmp_path):
    assert np.array_equal(read_labels(indexed(labels)), labels)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    assert np.array_equal(read_labels(tmp_path / "grey.png"), labels)
    assert np.array_equal(read_labels(png_bytes(colours_from_labels(labels))), labels)


def test_an_index_or_level_above_24_is_refused(labels):
    bad = labels.copy()
    bad[0, 0] = 25
    longer = np.vstack([PALETTE, [[0, 0, 0]]])
    error = refused(read_labels, indexed(bad, longer), name="map 7")
    assert error.code == "label-out-of-range"
    assert "map 7" in error.message


def test_another_table_is_refused_and_told_the_colours(labels):
    jet = np.stack([np.linspace(0, 255, 25), np.linspace(255, 0, 25), np.full(25, 128)], axis=1).astype(np.uint8)
    for data in (indexed(labels, jet), png_bytes(jet[labels]), png_bytes(255 - colours_from_labels(labels))):
        error = refused(read_labels, data, name="map 7")
        assert error.code == "map-off-palette"
        assert "VIRIDIS" in error.fix
        assert "(68, 1, 84)" in error.fix


def test_black_background_is_refused(labels):
    coloured = colours_from_labels(labels)
    coloured[labels == 0] = 0
    assert refused(labels_from_colours, coloured).code == "map-off-palette"


def test_a_small_figure_in_wrong_colours_is_refused():
    coloured = colours_from_labels(np.zeros((100, 100), np.uint8))
    coloured[40:60, 45:55] = (200, 40, 40)
    assert refused(labels_from_colours, coloured).code == "map-off-palette"


@given(st.integers(0, 24), st.tuples(*[st.integers(-5, 5)] * 3))
def test_a_codecs_darkening_keeps_the_label_of_distinct_colours(label, shift):
    colour = np.clip(PALETTE[label].astype(int) + shift, 0, 255).astype(np.uint8)
    found = labels_from_colours(np.broadcast_to(colour, (4, 4, 3)))[0, 0]
    distance = np.linalg.norm(PALETTE.astype(int) - colour.astype(int), axis=1)
    assert distance[found] == distance.min()


def test_maps_survive_our_own_video(labels, tmp_path):
    labels = np.kron(labels, np.ones((4, 4), np.uint8))  # chroma is halved: parts of a few pixels would not survive
    write_mp4(tmp_path / "maps.mp4", [colours_from_labels(labels)] * 3, 25)
    clip = read_label_clip(tmp_path / "maps.mp4")
    assert clip.fps == 25
    assert clip.labels.shape == (3, 256, 256)
    assert (clip.labels[0] == labels).mean() > 0.9


def test_a_folder_of_maps(labels, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(indexed(np.roll(labels, n, axis=1)))
    assert np.array_equal(read_label_clip(tmp_path).labels[2], np.roll(labels, 2, axis=1))
    write_png(tmp_path / "3.png", colours_from_labels(labels[:32]))
    assert refused(read_label_clip, tmp_path).code == "size-mismatch"


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_any_picture_is_labels_or_a_user_error(height, width, seed):
    with suppress(UserError):
        found = labels_from_colours(noise(height, width, seed))
        assert found.shape == (height, width)
        assert found.max() <= 24


def moving_figure(frames: int = 4) -> list[np.ndarray]:
    """A figure of several parts, round and thin ones, that moves: coloured maps."""
    rows, columns = np.mgrid[0:192, 0:192]
    maps = []
    for n in range(frames):
        image = np.zeros((192, 192), np.uint8)
        for part, (row, column, radius) in {2: (100, 96, 30), 23: (50, 96, 18), 24: (50, 104, 14)}.items():
            image[(rows - row) ** 2 + (columns - column - 3 * n) ** 2 < radius**2] = part
        for part, column in ((15, 60), (21, 52), (16, 128), (8, 88), (12, 104)):
            image[90 + part : 150 + part, column + 3 * n : column + 3 * n + 9] = part
        maps.append(image)
    return maps


def lossy_video(path: Path, frames: list[np.ndarray], crf: int) -> Path:
    """RGB frames as people export them: H.264 of this quality, half the colours."""
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        video.mux(stream.encode())
    return path


@pytest.mark.parametrize(("crf", "most"), [(18, 0.05), (28, 0.06), (38, 0.1), (48, 0.17)])
def test_lossy_videos_are_read_and_the_share_off_the_table_is_told(crf, most, tmp_path):
    maps = moving_figure()
    clip = read_label_clip(lossy_video(tmp_path / "maps.mp4", [colours_from_labels(m) for m in maps], crf))
    assert (clip.labels != np.stack(maps)).mean() < most
    assert 0.005 < clip.off_palette < 0.1


def test_more_than_five_in_a_hundred_pixels_off_the_table_is_no_reason_to_refuse():
    rough = np.asarray(Image.fromarray(colours_from_labels(moving_figure(1)[0])).resize((48, 48), Image.BICUBIC))
    found = snap_to_palette(rough)
    distance = np.linalg.norm(rough[..., None, :].astype(int) - PALETTE.astype(int), axis=-1).min(axis=-1)
    assert (distance > 12).mean() > 0.05, "what was refused before"
    assert found.off_palette == (distance > SOUND_DISTANCE).mean()
    assert np.array_equal(
        found.labels, np.linalg.norm(rough[..., None, :].astype(int) - PALETTE.astype(int), axis=-1).argmin(axis=-1)
    )


@pytest.mark.parametrize("crf", [None, 23, 33, 43, 48])
@pytest.mark.parametrize("name", ["densepose_dancing2.mp4", "densepose_running.mp4"])
def test_published_clips_are_read_at_any_quality(real_data, name, crf, tmp_path):
    frames = read_frames(real_data / name).frames[::8]
    path = real_data / name if crf is None else lossy_video(tmp_path / name, list(frames), crf)
    clip = read_label_clip(path)
    assert 0.005 < clip.off_palette < 0.06
    own = np.stack([labels_from_colours(frame) for frame in frames])
    assert (clip.labels[:: 8 if crf is None else 1] == own).mean() > (0.999 if crf is None else 0.88)


def photo(seed: int = 0) -> np.ndarray:
    """Smooth colours of all kinds, as a photograph has them."""
    small = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((192, 192), Image.BICUBIC))


@pytest.mark.parametrize("crf", [18, 38])
def test_photographs_and_other_tables_are_refused_as_videos_too(crf, tmp_path):
    figure = moving_figure(1)[0]
    tables = {name: tone(np.arange(25) / 24) for name, tone in OTHER_TABLES.items()}
    on_background = {f"{name} on the right background": np.vstack([PALETTE[:1], t[1:]]) for name, t in tables.items()}
    pictures = {name: table[figure] for name, table in {**tables, **on_background}.items()}
    pictures |= {"photo": photo(), "bgr": colours_from_labels(figure)[..., ::-1]}
    for name, picture in pictures.items():
        path = lossy_video(tmp_path / f"{name}.mp4", [picture] * 2, crf)
        error = refused(read_label_clip, path)
        assert error.code == "map-off-palette", name
        assert "frame 0" in error.message


def test_photographs_of_people_are_refused(real_data):
    for name in ("reference_person.jpeg", "reference_monalisa.png"):
        assert refused(read_labels, real_data / name).code == "map-off-palette"
