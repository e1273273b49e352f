"""Everything in the open file that shows a clip: count it, point it at a newer clip, take it away."""

from collections.abc import Iterator
from dataclasses import dataclass

import bpy

from . import compositor, sequencer
from .clip import MATTE, Clip, all_strips, is_tagged, tag
from .colours import set_colorspace
from .sequence import images_of, point_at
from .timing import play


@dataclass(frozen=True)
class Uses:
    """How often a clip is shown in the open file."""

    planes: int
    images: int
    compositor_nodes: int
    strips: int

    def __bool__(self) -> bool:
        return bool(self.planes or self.images or self.compositor_nodes or self.strips)

    def counted(self) -> list[str]:
        """In words: ["2 planes", "1 strip"]. Images are named where nothing else shows them."""
        counts = {"plane": self.planes, "compositor node": self.compositor_nodes, "strip": self.strips}
        if not any(counts.values()):
            counts = {"image sequence": self.images}
        return [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count]


def uses_of(clip_id: str) -> Uses:
    return Uses(
        planes=len(_tagged(bpy.data.objects, clip_id)),
        images=sum(1 for image in images_of(clip_id) if MATTE not in image),
        compositor_nodes=sum(len(compositor.group_users(group)) for group in _tagged(bpy.data.node_groups, clip_id)),
        strips=len(sequencer.strips_of(clip_id)),
    )


def refresh(scene: bpy.types.Scene, clip: Clip, *, replaces: str | None = None) -> None:
    """Make every use of the clip `replaces` (default: of this one) show what `clip` holds now, in its place.

    Also after the scene's frame rate or view transform changed. `scene` gives both.
    """
    old = replaces or clip.id
    images = images_of(old)
    for image in images:
        point_at(image, clip)
        if MATTE not in image:
            set_colorspace(image, scene)
    for user in _image_users(images):
        play(user, clip, scene)
    for group in _tagged(bpy.data.node_groups, old):
        compositor.fit(group, clip)
    for strip_scene, strip in sequencer.strips_of(old):
        sequencer.fill(strip, clip, strip_scene)
    for collection in _collections():
        for data in _tagged(collection, old):
            tag(data, clip)


def remove(clip_id: str) -> None:
    """Take every use of a clip out of the open file, and the data it needed. Files stay."""
    for scene, strip in sequencer.strips_of(clip_id):
        _strips_holding(scene, strip).remove(strip)
        sequencer.after_removal(scene)
    for group in _tagged(bpy.data.node_groups, clip_id):
        for tree, node in compositor.group_users(group):
            compositor.take_out(tree, node)
    for collection in _collections():
        for data in _tagged(collection, clip_id):
            collection.remove(data)
    for image in images_of(clip_id):
        bpy.data.images.remove(image)


def _collections() -> tuple[bpy.types.bpy_prop_collection, ...]:
    return bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.node_groups


def _tagged(collection: bpy.types.bpy_prop_collection, clip_id: str) -> list[bpy.types.ID]:
    return [data for data in collection if is_tagged(data, clip_id)]


def _image_users(images: list[bpy.types.Image]) -> Iterator[bpy.types.bpy_struct]:
    """What decides which frame of these images shows, in our node trees and in the user's."""
    shaders = [data.node_tree for data in (*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights) if data.node_tree]
    scenes = [scene.node_tree for scene in bpy.data.scenes if getattr(scene, "node_tree", None)]
    for tree in (*shaders, *scenes, *bpy.data.node_groups):
        for node in tree.nodes:
            if getattr(node, "image", None) in images:
                # A texture node keeps its timing in an image user; a compositor node is one itself.
                yield node.image_user if hasattr(node, "image_user") else node


def _strips_holding(scene: bpy.types.Scene, strip: bpy.types.bpy_struct) -> bpy.types.bpy_prop_collection:
    """The collection, of the editor or of a meta strip in it, that a strip can be removed from."""
    for parent in (scene.sequence_editor, *(s for s in all_strips(scene) if s.type == "META")):
        strips = parent.strips if hasattr(parent, "strips") else parent.sequences
        if any(s == strip for s in strips):
            return strips
    raise LookupError(strip.name)
