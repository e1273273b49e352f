import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from magicanimate_blender.densepose.errors import DensePoseError
from magicanimate_blender.densepose.labels import PALETTE
from magicanimate_blender.densepose.rule import label_faces
from magicanimate_blender.raster import zbuffer
from magicanimate_blender.raster.camera import Camera
from magicanimate_blender.raster.png import decode_labels, encode_labels
from magicanimate_blender.raster.zbuffer import rasterise, visible_triangles
from tools.cc0_bodies import load_body, load_rig

FLAT = Camera(np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0]))
"""x and y in -1..1 fill the picture; larger z is nearer."""


def cast(positions, triangles, camera, width, height):
    """Ray by ray with exact plane equations: index of the nearest triangle, its depth, and the runner-up's. Slow."""
    clip = camera.to_clip(positions)
    ys, xs = np.mgrid[:height, :width]
    rays = np.stack([(xs + 0.5) / width * 2 - 1, 1 - (ys + 0.5) / height * 2, np.ones_like(xs)], axis=-1).reshape(-1, 3)
    depth = np.full((len(triangles), len(rays)), np.inf)
    shares = np.zeros((len(triangles), len(rays), 3))
    for i, triangle in enumerate(triangles):
        corners = clip[triangle][:, [0, 1, 3]]
        if abs(np.linalg.det(corners)) < 1e-12:
            continue
        share = rays @ np.linalg.inv(corners)  # share @ corners = ray, up to the ray's length
        inside = (share >= 0).all(axis=1) & (share.sum(axis=1) > 0)
        share /= np.where(inside, share.sum(axis=1), 1)[:, None]
        z, w = (share @ clip[triangle][:, k] for k in (2, 3))
        seen = inside & (z >= -w) & (z <= w)
        depth[i, seen] = (z / np.where(seen, w, 1))[seen]
        shares[i] = share
    return depth, shares


@st.composite
def soups(draw):
    """Triangles all around the camera, behind it too, and a camera of either type."""
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    positions = generator.uniform(-2, 2, (12, 3)) * [1, 1, 3] - [0, 0, 2]
    triangles = generator.integers(0, 12, (10, 3))
    options = {
        "type": draw(st.sampled_from(["PERSP", "ORTHO"])),
        "shift_x": draw(st.floats(-0.3, 0.3)),
        "ortho_scale": 4.0,
        "lens": draw(st.floats(10, 60)),
        "clip_start": draw(st.floats(0.05, 2)),
        "clip_end": draw(st.floats(3, 100)),
        "pixel_aspect_x": draw(st.sampled_from([1.0, 2.0])),
    }
    return positions, triangles, options


@settings(max_examples=150)
@given(soup=soups(), size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_sees_what_rays_see(soup, size):
    positions, triangles, options = soup
    width, height = size
    camera = Camera.from_blender(np.eye(4), width=width, height=height, **options)
    depth, shares = cast(positions, triangles, camera, width, height)
    index, barycentric = visible_triangles(positions, triangles, camera, width, height)
    found, best = index.ravel(), depth.min(axis=0)
    chosen = np.where(found >= 0, depth[found, np.arange(len(found))], np.inf)
    clear = ~near_an_edge(shares)  # a centre on an edge may go either way
    assert (np.isinf(chosen) == np.isinf(best))[clear].all()
    seen = clear & np.isfinite(best)
    assert np.allclose(chosen[seen], best[seen], atol=1e-9)
    exact = shares[found[seen], np.flatnonzero(seen)]
    assert np.allclose(barycentric.reshape(-1, 3)[seen], exact, atol=1e-4)


def near_an_edge(shares):
    return (np.abs(shares) < 1e-9).any(axis=2).any(axis=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 64))
def test_a_surface_has_no_cracks_and_no_overlaps(seed, size):
    """A square of triangles that fills the picture, vertices on pixel centres too: one of them per pixel."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 9))
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, count + 1)] * 2), axis=-1)
    grid[1:-1, 1:-1] += generator.uniform(-0.3, 0.3, grid[1:-1, 1:-1].shape) / count
    if seed % 2:
        grid = np.round((grid + 1) * size) / size - 1  # corners and centres of pixels
    points = np.concatenate([grid.reshape(-1, 2), np.zeros((grid.size // 2, 1))], axis=1)
    number = np.arange(len(points)).reshape(count + 1, count + 1)
    quads = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    seen, _ = visible_triangles(points, triangles, FLAT, size, size)
    assert (seen >= 0).all()
    covered = [
        (visible_triangles(points, triangles[[i]], FLAT, size, size)[0] >= 0).sum() for i in range(len(triangles))
    ]
    if not seed % 2:
        assert sum(covered) == size * size


def test_pixels_are_where_they_should_be():
    """A square over the upper right quarter, seen by a 4 x 4 picture whose row 0 is the top."""
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    picture = rasterise(square, [[0, 1, 2], [0, 2, 3]], [7, 7], FLAT, 4, 4)
    expected = np.zeros((4, 4), np.uint8)
    expected[:2, 2:] = 7
    assert (picture == expected).all()


def test_nearer_meshes_hide_further_ones_whatever_their_order():
    near, far = [[-1, -1, 0.5], [3, -1, 0.5], [-1, 3, 0.5]], [[-1, -1, -0.5], [3, -1, -0.5], [-1, 3, -0.5]]
    for positions, labels in ((near + far, [3, 9]), (far + near, [9, 3])):
        assert (rasterise(positions, [[0, 1, 2], [3, 4, 5]], labels, FLAT, 8, 8) == 3).all()


def test_crossing_characters_are_cut_where_they_cross():
    slanted = [[-1, -1, -1], [-1, 3, -1], [3, -1, 3]]
    upright = [[-1, -1, 0], [-1, 3, 0], [3, -1, 0]]
    picture = rasterise(slanted + upright, [[0, 1, 2], [3, 4, 5]], [1, 2], FLAT, 10, 10)
    assert (picture[:, :5] == 2).all()
    assert (picture[:, 5:] == 1).all()


def test_an_occluder_writes_background_in_front():
    body, prop = [[-1, -1, 0], [3, -1, 0], [-1, 3, 0]], [[-1, -1, 0.9], [0, -1, 0.9], [-1, 0, 0.9]]
    picture = rasterise(body + prop, [[0, 1, 2], [3, 4, 5]], [5, 0], FLAT, 16, 16)
    assert set(np.unique(picture)) == {0, 5}
    assert picture[-1, 0] == 0


def test_both_sides_of_a_face_are_drawn():
    triangle = [[-1, -1, 0], [3, -1, 0], [-1, 3, 0]]
    assert (rasterise(triangle, [[0, 2, 1]], [4], FLAT, 3, 3) == 4).all()


def test_attributes_are_perspective_correct(camera_at):
    """A floor seen at a slant: x and y from the barycentric coordinates lie on the ray through the pixel."""
    floor = np.array([[-3, -2, 0], [3, -2, 0], [3, 30, 0], [-3, 30, 0]], float)
    camera = camera_at((0, -3, 1.5), (0, 3, 0), 64, 48)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    index, barycentric = visible_triangles(floor, triangles, camera, 64, 48)
    rows, columns = np.nonzero(index >= 0)
    points = (floor[triangles[index[rows, columns]]] * barycentric[rows, columns][..., None]).sum(axis=1)
    clip = camera.to_clip(points)
    x, y = (clip[:, :2] / clip[:, 3:]).T
    assert np.allclose((x + 1) / 2 * 64, columns + 0.5, atol=1e-3)
    assert np.allclose((1 - y) / 2 * 48, rows + 0.5, atol=1e-3)


def test_a_floor_that_reaches_behind_the_camera_fills_the_lower_half(camera_at):
    floor = [[-500, -500, 0], [500, -500, 0], [500, 500, 0], [-500, 500, 0]]
    camera = camera_at((0, 0, 1), (0, 10, 1), 32, 32)
    picture = rasterise(floor, [[0, 1, 2], [0, 2, 3]], [6, 6], camera, 32, 32)
    assert (picture[:16] == 0).all()
    assert (picture[17:] == 6).all()


def test_many_layers_are_merged_in_parts(monkeypatch):
    """The buffer of fragments is bounded: a picture with more of them comes out the same."""
    generator = np.random.default_rng(0)
    positions, triangles = generator.uniform(-1.5, 1.5, (60, 3)), generator.integers(0, 60, (200, 3))
    labels = generator.integers(1, 25, 200)
    whole = rasterise(positions, triangles, labels, FLAT, 50, 50)
    monkeypatch.setattr(zbuffer, "_FRAGMENTS", 1000)
    assert (rasterise(positions, triangles, labels, FLAT, 50, 50) == whole).all()


@pytest.fixture(scope="module")
def labelled_body():
    body = load_body("female")
    labels = label_faces(body.vertices, body.triangles, load_rig("SMPL-X").segment_weights())
    return body.vertices[:, [0, 2, 1]] * [1, -1, 1], body.triangles, labels  # Z up


@pytest.mark.parametrize("seed", range(100))
def test_no_pixel_is_off_the_palette(labelled_body, seed):
    """Random cameras, lenses and sizes around a body, some inside it: pictures hold its labels and nothing else."""
    vertices, triangles, labels = labelled_body
    generator = np.random.default_rng(seed)
    width, height = generator.integers(16, 200, 2)
    matrix = np.eye(4)
    matrix[:3, :3] = trimesh.transformations.random_rotation_matrix(generator.random(3))[:3, :3]
    matrix[:3, 3] = [0, 0, 0.8] + matrix[:3, 2] * generator.uniform(0.05, 4)
    camera = Camera.from_blender(
        matrix,
        width=width,
        height=height,
        type=["PERSP", "ORTHO"][seed % 2],
        lens=generator.uniform(10, 90),
        ortho_scale=generator.uniform(0.3, 3),
        shift_x=generator.uniform(-0.3, 0.3),
        clip_start=0.01,
    )
    picture = rasterise(vertices, triangles, labels, camera, width, height)
    assert picture.shape == (height, width)
    assert picture.max() > 0
    assert np.isin(picture, np.append(labels, 0)).all()
    assert (decode_labels(encode_labels(picture)) == picture).all()
    assert set(map(tuple, PALETTE[picture].reshape(-1, 3))) <= set(map(tuple, PALETTE))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([[0, 0, 0]] * 3, [[0, 1, 2]], [1], FLAT, 0, 5), "no area"),
        (([[0, 0, 0]] * 3, [[0, 1, 3]], [1], FLAT, 5, 5), "not there"),
        (([[0, 0, 0]] * 3, [[0, 1, 2]], [1, 2], FLAT, 5, 5), "2 labels for 1"),
    ],
)
def test_bad_input_is_said(arguments, says):
    with pytest.raises(DensePoseError, match=says):
        rasterise(*arguments)


def test_nothing_to_draw_is_background():
    assert (rasterise(np.zeros((0, 3)), np.zeros((0, 3), int), [], FLAT, 6, 4) == np.zeros((4, 6))).all()
    line = [[-1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert (rasterise(line, [[0, 1, 2]], [3], FLAT, 5, 5) == 0).all()
