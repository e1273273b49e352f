"""Poses and the current frame, put aside for a moment and put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import bpy


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
    """Put back afterwards what going to another frame undoes: a pose that has no keys yet, by bone and by object."""
    armatures = list(armatures)
    bones = {armature: {bone.name: bone.matrix_basis.copy() for bone in armature.pose.bones} for armature in armatures}
    places = {armature: armature.matrix_basis.copy() for armature in armatures}
    try:
        yield
    finally:
        for armature in armatures:
            for bone in armature.pose.bones:
                if bone.matrix_basis != bones[armature][bone.name]:
                    bone.matrix_basis = bones[armature][bone.name]
            if armature.matrix_basis != places[armature]:
                armature.matrix_basis = places[armature]


@contextmanager
def current_frame_kept(scene: bpy.types.Scene) -> Iterator[None]:
    """Go back to the current frame afterwards."""
    before = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        if (scene.frame_current, scene.frame_subframe) != before:
            scene.frame_set(before[0], subframe=before[1])
