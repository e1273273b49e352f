"""Our part maps against Cycles, which sees the scene through Blender's own camera: at most 0.1 % of pixels differ."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Euler
from PIL import Image

from magicanimate_blender.scene.camera import read_camera
from magicanimate_blender.scene.framing import frame_camera
from magicanimate_blender.scene.part_maps import draw_part_map, read_frames

SIZE = (384, 320)


def labelled_mesh(geometry) -> bpy.types.Object:
    mesh = bpy.data.meshes.new("drawn")
    mesh.from_pydata(geometry.positions.tolist(), [], geometry.triangles.tolist())
    mesh.attributes.new("dp_label", "INT", "FACE").data.foreach_set("value", geometry.labels.astype(np.int32))
    return bpy.data.objects.new("drawn", mesh)


def label_material() -> bpy.types.Material:
    """Emits label / 255: with colour management off the 8-bit picture holds the labels."""
    material = bpy.data.materials.new("labels")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    attribute, divide = nodes.new("ShaderNodeAttribute"), nodes.new("ShaderNodeMath")
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    attribute.attribute_name = "dp_label"
    divide.operation = "DIVIDE"
    divide.inputs[1].default_value = 255
    links.new(attribute.outputs["Fac"], divide.inputs[0])
    links.new(divide.outputs[0], emission.inputs["Strength"])
    links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def cycles_labels(scene, path: Path) -> np.ndarray:
    render, view = scene.render, scene.view_settings
    render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.samples, cycles.max_bounces = 1, 0
    cycles.use_denoising = cycles.use_adaptive_sampling = False
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    view.view_transform, view.look, view.exposure, view.gamma = "Raw", "None", 0, 1
    render.dither_intensity = 0
    render.use_compositing = render.use_sequencer = False
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    render.resolution_x, render.resolution_y = SIZE
    render.filepath = str(path)
    world = scene.world = bpy.data.worlds.new("black")
    world.color = (0, 0, 0)
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Strength"].default_value = 0
    bpy.ops.render.render(write_still=True)
    with Image.open(path) as picture:
        return np.array(picture)[..., 0]


def perspective(scene):
    scene.camera.data.lens = 65


def orthographic(scene):
    scene.camera.data.type = "ORTHO"


def shifted_with_sensor_fit_and_pixel_aspect(scene):
    scene.camera.data.shift_x, scene.camera.data.shift_y = 0.11, -0.07
    scene.camera.data.sensor_fit = "VERTICAL"
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = 1.0, 1.4


def inside_the_arm(scene):
    """Near plane across the body, seen from above and rolled; the camera's scale counts for nothing."""
    camera = scene.camera
    camera.location = (0.35, -0.75, 1.45)
    camera.rotation_euler = Euler((math.radians(75), 0.35, 0.5))
    camera.scale = (2, 3, 0.5)
    camera.data.clip_start = 0.7
    camera.data.lens = 24


@pytest.mark.parametrize(
    "camera", [perspective, orthographic, shifted_with_sensor_fit_and_pixel_aspect, inside_the_arm]
)
def test_equals_a_cycles_render(scene, walking, camera, tmp_path):
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    camera(scene)
    if camera is not inside_the_arm:
        frame_camera(scene, [walking], [20])
    scene.frame_set(20)
    (reading,) = read_frames(scene, [walking], [20], *SIZE)
    ours = reading.draw()
    (body,) = (bpy.data.objects[name] for name in walking.meshes)
    body.hide_render = True
    drawn = labelled_mesh(reading.geometry)
    drawn.data.materials.append(label_material())
    scene.collection.objects.link(drawn)
    theirs = cycles_labels(scene, tmp_path / "labels.png")
    assert (ours > 0).mean() > 0.05
    assert (ours != theirs).mean() <= 0.001


def test_equals_a_cycles_render_of_the_character_itself(scene, walking, tmp_path):
    """Nothing of ours in between: Blender evaluates the rig and subdivides it at render level."""
    (body,) = (bpy.data.objects[name] for name in walking.meshes)
    subdivision = body.modifiers.new("Subdivision", "SUBSURF")
    subdivision.levels, subdivision.render_levels = 0, 1
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    ours = draw_part_map(scene, [walking], 31, *SIZE)
    body.data.materials.append(label_material())
    scene.frame_set(31)
    theirs = cycles_labels(scene, tmp_path / "labels.png")
    assert (ours != theirs).mean() <= 0.001


def test_the_camera_is_blenders(scene, walking):
    shifted_with_sensor_fit_and_pixel_aspect(scene)
    scene.camera.data.lens = 31
    depsgraph = bpy.context.evaluated_depsgraph_get()
    blenders = scene.camera.calc_matrix_camera(depsgraph, x=640, y=360, scale_x=1.0, scale_y=1.4)
    camera = read_camera(scene, 640, 360)
    np.testing.assert_allclose(camera.projection, np.array(blenders), atol=1e-5)
    np.testing.assert_allclose(camera.view, np.array(scene.camera.matrix_world.inverted()), atol=1e-5)
