"""Synthetic clips: repeatable, and pictures and part maps that tell the same story."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from inference_server.training.bodies import body_model, joint_parents, pose, random_body
from inference_server.training.characters import HELD_OUT_STREAM, TRAINING_STREAM, make_clips
from inference_server.training.looks import random_look
from inference_server.training.motion import random_motion
from inference_server.training.painting import paint
from inference_server.training.pool import ClipPool


def test_a_clip_is_made_from_its_number_alone():
    one, two = (make_clips(TRAINING_STREAM, 7, size=64, frames=3)[0] for _ in range(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.parts, two.parts)


def test_held_out_people_are_other_people():
    training, held_out = (make_clips(stream, 0, size=64, frames=2)[0] for stream in (TRAINING_STREAM, HELD_OUT_STREAM))
    assert (training.parts != held_out.parts).mean() > 0.02
    assert np.abs(training.frames.astype(int) - held_out.frames).mean() > 5


@pytest.mark.parametrize("number", range(4))
def test_the_map_is_drawn_exactly_where_the_person_is(number):
    clip = make_clips(HELD_OUT_STREAM, number, size=96, frames=2)[0]
    for picture, parts in zip(clip.frames, clip.parts, strict=True):
        inside = parts > 0
        assert 0.03 < inside.mean() < 0.5
        near = binary_dilation(inside)  # half-covered pixels of the outline
        for row, close in zip(picture, near, strict=True):
            assert np.ptp(row[~close].astype(int), axis=0).max(initial=0) == 0, "the wall is one colour in each row"
        wall = np.stack([row[~close][0] for row, close in zip(picture, near, strict=True)])
        differs = np.abs(picture.astype(int) - wall[:, None]).max(-1) > 8
        assert differs[inside].mean() > 0.9, "a person is seen wherever the map says so"


def test_two_looks_share_motion_and_map():
    one, two = make_clips(TRAINING_STREAM, 3, size=64, frames=2, looks=2)
    np.testing.assert_array_equal(one.parts, two.parts)
    assert np.abs(one.frames.astype(int) - two.frames).mean() > 3


def test_references_face_the_camera():
    for number in range(6):
        clip = make_clips(HELD_OUT_STREAM, number, size=64, frames=1)[0]
        for parts in clip.reference_parts:
            assert (parts == 2).sum() > (parts == 1).sum(), "more of the torso's front than of its back"


def test_posing_nothing_gives_the_rest_body():
    rng = np.random.default_rng(0)
    body = random_body(rng)
    still = {name: np.eye(3)[None] for name in body_model().joints}
    np.testing.assert_allclose(pose(body, still)[0], body.vertices, atol=1e-5)


def test_turning_the_pelvis_turns_the_whole_body_rigidly():
    rng = np.random.default_rng(1)
    body = random_body(rng)
    quarter = np.array([[[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]]])
    moved = pose(body, {"pelvis": quarter})[0]
    centre = body.joints["pelvis"]
    np.testing.assert_allclose(moved - centre, (body.vertices - centre) @ quarter[0].T, atol=1e-4)


def test_every_joint_comes_after_its_parent():
    names = list(joint_parents())
    assert set(names) == set(body_model().joints)
    for child, parent in joint_parents().items():
        assert parent is None or names.index(parent) < names.index(child)


def test_motion_is_made_of_rotations():
    rng = np.random.default_rng(2)
    for turns in random_motion(rng, 5, random_body(rng)).values():
        np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9)
        assert np.all(np.linalg.det(turns) > 0.99)


def test_shirts_are_on_torsos_and_shoes_on_feet():
    model = body_model()
    places = model.canonical[model.triangles].mean(1)
    look = random_look(np.random.default_rng(5))
    colours = paint(look, places, model.labels)
    np.testing.assert_allclose(colours[np.isin(model.labels, (5, 6))] - look.shoes, 0)
    chest = np.isin(model.labels, (1, 2)) & (places[:, 1] > look.waist + 0.02) & (places[:, 1] < 0.5)
    to_cloth = np.abs(colours[chest][:, None] - np.stack([look.shirt, look.shirt_accent])).max(-1).min(-1)
    np.testing.assert_allclose(to_cloth, 0)


def test_a_pool_keeps_what_it_made(tmp_path):
    pool = ClipPool(tmp_path / "clips", size=64, motions=2)
    assert list(pool.fill()) == [1, 2]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()}
    again = ClipPool(tmp_path / "clips", size=64, motions=2)
    assert list(again.fill()) == [1, 2]
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()}
    np.testing.assert_array_equal(pool[3].frames, again[3].frames)
    np.testing.assert_array_equal(pool[2].parts, pool[3].parts)
