"""Poses and the current frame, put aside for a moment and put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import bpy

_CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


@contextmanager
def at_rest(view_layer: bpy.types.ViewLayer, armatures: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Within: the armatures show their rest pose. Not inside a dependency graph iteration or a draw handler."""
    posed = {armature: armature.data.pose_position for armature in armatures}
    try:
        for armature in posed:
            armature.data.pose_position = "REST"
        view_layer.update()
        yield
    finally:
        for armature, position in posed.items():
            armature.data.pose_position = position
        view_layer.update()


@contextmanager
def poses_kept(armatures: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Put back afterwards what going to another frame undoes: a pose that has no keys yet, of bones and of objects."""
    posed = [each for armature in armatures for each in (armature, *armature.pose.bones)]
    before = [_channels(each) for each in posed]
    try:
        yield
    finally:
        for each, channels in zip(posed, before, strict=True):
            if _channels(each) != channels:
                for name, value in zip(_CHANNELS, channels, strict=True):
                    setattr(each, name, value)


def _channels(posed: bpy.types.Object | bpy.types.PoseBone) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(getattr(posed, name)) for name in _CHANNELS)


@contextmanager
def current_frame_kept(scene: bpy.types.Scene) -> Iterator[None]:
    """Go back to the current frame afterwards."""
    before = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        if (scene.frame_current, scene.frame_subframe) != before:
            scene.frame_set(before[0], subframe=before[1])
