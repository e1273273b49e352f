"""The part map over the 3D view: the character's labelled surface as it stands now, in the exact colours.

Drawn into a buffer of its own and then copied over the finished view, where no colour management comes after it.
Only in Blender's window: in background mode the gpu module may end the process.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from ..densepose.errors import DensePoseError
from ..densepose.labels import PALETTE
from ..scene.characters import Character
from ..scene.context import depsgraph_of
from ..scene.evaluate import FrameGeometry, extract
from . import geometry, messages

_handle: object = None
_surface_shader: gpu.types.GPUShader | None = None
_picture_shader: gpu.types.GPUShader | None = None
_characters: tuple[Character, ...] = ()
"""Those that may be drawn, see `follow`."""
_geometry: FrameGeometry | None = None
_target: _Target | None = None
_drawn_scene = 0
_changed = True


def show(scene: bpy.types.Scene) -> None:
    """Start or stop drawing, as the scenes' settings say."""
    global _handle
    if bpy.app.background:
        return
    if scene.magicanimate.show_overlay and _handle is None:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
    elif _handle is not None and not any(s.magicanimate.show_overlay for s in bpy.data.scenes):
        stop()
    mark_changed()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def follow(scene: bpy.types.Scene, characters: tuple[Character, ...]) -> None:
    """Take note of who is to be drawn, outside of a draw handler: measuring may make a scratch scene."""
    global _characters
    if _handle is None or (characters == _characters and geometry.ready(characters)):
        return
    _characters = ()
    mark_changed()
    if characters:
        try:
            if not geometry.ready(characters):
                return
            _characters = characters
            extract(scene, depsgraph_of(scene), characters, geometry.cache())
            show(scene)
        except DensePoseError as error:
            messages.tell(error)
            _characters = ()


def stop() -> None:
    global _handle
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None


def forget() -> None:
    """Undo or another file made everything kept here stale."""
    global _geometry, _characters
    _geometry, _characters = None, ()
    mark_changed()


def mark_changed() -> None:
    """The scene is not as it was drawn."""
    global _changed
    _changed = True


def _draw() -> None:
    context = bpy.context
    scene = context.scene
    if not scene.magicanimate.show_overlay or not _characters:
        return
    with contextlib.suppress(DensePoseError):  # nothing to draw in this frame; the panel says why
        _update(scene, context.evaluated_depsgraph_get())
        if _geometry is not None:
            _draw_over(
                _geometry, context.region, context.region_data.perspective_matrix, scene.magicanimate.overlay_opacity
            )


def _update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    global _geometry, _changed, _drawn_scene
    if not _changed and _drawn_scene == scene.session_uid:
        return
    _changed, _drawn_scene, _geometry = False, scene.session_uid, None
    with contextlib.suppress(KeyError):  # an object was renamed or deleted; `follow` hears of it
        _geometry = extract(scene, depsgraph, _characters, geometry.cache(), drawing=True)


def _draw_over(surface: FrameGeometry, region: bpy.types.Region, perspective: Matrix, opacity: float) -> None:
    target = _target_of(region.width, region.height)
    with target.frame.bind():
        target.frame.clear(color=(0.0, 0.0, 0.0, 0.0), depth=1.0)
        draw_surface(surface, perspective, on_screen(PALETTE))
    shader = _picture()
    batch = batch_for_shader(shader, "TRI_STRIP", {"position": [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)]})
    shader.bind()
    shader.uniform_sampler("picture", target.colour)
    shader.uniform_float("size", (float(region.width), float(region.height)))
    shader.uniform_float("opacity", opacity)
    gpu.state.blend_set("ALPHA")
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def draw_surface(geometry: FrameGeometry, perspective: Matrix, colours: np.ndarray) -> None:
    """Draw the labelled triangles flat into the framebuffer that is bound.

    colours: (25, 3) float, what to write for each label; label 0 hides what is behind it and writes nothing.
    """
    corners = np.ascontiguousarray(geometry.positions[geometry.triangles].reshape(-1, 3), np.float32)
    rgba = np.ones((len(colours), 4), np.float32)
    rgba[:, :3] = colours
    rgba[0] = 0
    form = gpu.types.GPUVertFormat()
    form.attr_add(id="position", comp_type="F32", len=3, fetch_mode="FLOAT")
    form.attr_add(id="colour", comp_type="F32", len=4, fetch_mode="FLOAT")
    vertices = gpu.types.GPUVertBuf(form, len(corners))
    vertices.attr_fill("position", corners)
    vertices.attr_fill("colour", np.repeat(rgba[geometry.labels], 3, axis=0))
    shader = _surface()
    shader.bind()
    shader.uniform_float("perspective", perspective)
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    gpu.types.GPUBatch(type="TRIS", buf=vertices).draw(shader)
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")


@functools.cache
def _codes() -> np.ndarray:
    """(256,) float: what to write so that a level 0..255 is seen.

    Blender keeps what is drawn over a view as 8-bit sRGB, and shows it after decoding that with sRGB's curve and
    encoding it with a plain gamma of 2.2. Where no code gives a level (some below 16, and 238) the nearest is taken.
    """
    code = np.arange(256) / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    seen = np.rint(255 * light ** (1 / 2.2))
    return light[np.abs(seen[None] - np.arange(256)[:, None]).argmin(axis=1)]


def on_screen(levels: np.ndarray) -> np.ndarray:
    """uint8 levels as they shall be seen -> what to draw over a view."""
    return _codes()[levels]


@dataclass(frozen=True)
class _Target:
    """A picture of the view's size to draw into. (After a GPUOffScreen nothing drawn gets to the view any more.)"""

    colour: gpu.types.GPUTexture
    depth: gpu.types.GPUTexture
    frame: gpu.types.GPUFrameBuffer


def _target_of(width: int, height: int) -> _Target:
    global _target
    if _target is None or (_target.colour.width, _target.colour.height) != (width, height):
        colour = gpu.types.GPUTexture((width, height), format="RGBA16F")
        depth = gpu.types.GPUTexture((width, height), format="DEPTH_COMPONENT32F")
        _target = _Target(colour, depth, gpu.types.GPUFrameBuffer(depth_slot=depth, color_slots=(colour,)))
    return _target


def _surface() -> gpu.types.GPUShader:
    global _surface_shader
    if _surface_shader is None:
        passed = gpu.types.GPUStageInterfaceInfo("magicanimate_surface")
        passed.flat("VEC4", "label_colour")
        info = gpu.types.GPUShaderCreateInfo()
        info.push_constant("MAT4", "perspective")
        info.vertex_in(0, "VEC3", "position")
        info.vertex_in(1, "VEC4", "colour")
        info.vertex_out(passed)
        info.fragment_out(0, "VEC4", "result")
        info.vertex_source("void main() { label_colour = colour; gl_Position = perspective * vec4(position, 1.0); }")
        info.fragment_source("void main() { result = label_colour; }")
        _surface_shader = gpu.shader.create_from_info(info)
    return _surface_shader


def _picture() -> gpu.types.GPUShader:
    """Copies texel for texel: no filtering, no colour conversion."""
    global _picture_shader
    if _picture_shader is None:
        passed = gpu.types.GPUStageInterfaceInfo("magicanimate_picture")
        passed.smooth("VEC2", "place")
        info = gpu.types.GPUShaderCreateInfo()
        info.push_constant("VEC2", "size")
        info.push_constant("FLOAT", "opacity")
        info.sampler(0, "FLOAT_2D", "picture")
        info.vertex_in(0, "VEC2", "position")
        info.vertex_out(passed)
        info.fragment_out(0, "VEC4", "result")
        info.vertex_source("void main() { place = position * 0.5 + 0.5; gl_Position = vec4(position, 0.0, 1.0); }")
        info.fragment_source(
            "void main() { vec4 texel = texelFetch(picture, ivec2(place * size), 0);"
            " result = vec4(texel.rgb, texel.a * opacity); }"
        )
        _picture_shader = gpu.shader.create_from_info(info)
    return _picture_shader


def register() -> None:
    """Nothing is drawn until a scene asks for it."""


def unregister() -> None:
    global _surface_shader, _picture_shader, _target
    stop()
    forget()
    _surface_shader = _picture_shader = _target = None
