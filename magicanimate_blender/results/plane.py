"""A shadeless plane that plays a clip."""

import bpy

from .clip import Clip, tag
from .placement import Placement, before_camera
from .sequence import load_mattes, load_sequence
from .timing import play


def add_plane(
    scene: bpy.types.Scene, clip: Clip, *, placement: Placement | None = None, depth: float = 5.0
) -> bpy.types.Object:
    """Add a plane that plays the clip, by default filling the camera's view, `depth` metres away and bound to it.

    The figure is cut out if the clip has mattes. The plane gives no light and throws no shadow.
    Raises SceneError if there is neither a placement nor a camera.
    """
    placement = placement or before_camera(scene, clip.size, depth)
    mesh = _unit_square(clip.name)
    plane = bpy.data.objects.new(clip.name, mesh)
    mesh.materials.append(_material(scene, clip))
    scene.collection.objects.link(plane)
    if placement.parent:
        plane.parent = placement.parent
        plane.matrix_parent_inverse = placement.parent.matrix_world.inverted()
    plane.matrix_basis = placement.matrix
    plane.visible_diffuse = plane.visible_shadow = plane.visible_volume_scatter = False
    for data in (plane, mesh):
        tag(data, clip)
    return plane


def _unit_square(name: str) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    corners = [(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    mesh.uv_layers.new().data.foreach_set("uv", [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    return mesh


def _material(scene: bpy.types.Scene, clip: Clip) -> bpy.types.Material:
    material = bpy.data.materials.new(clip.name)
    tag(material, clip)
    if not material.node_tree:
        material.use_nodes = True  # before Blender 5.0 a new material has no nodes
    tree = material.node_tree
    tree.nodes.clear()
    picture = _texture(tree, load_sequence(scene, clip), clip, scene, (-600, 0))
    emission = _node(tree, "ShaderNodeEmission", (-250, 0))
    output = _node(tree, "ShaderNodeOutputMaterial", (200, 0))
    tree.links.new(picture.outputs["Color"], emission.inputs["Color"])
    _undo_exposure(emission.inputs["Strength"], scene)
    surface = emission
    if clip.mattes:
        matte = _texture(tree, load_mattes(clip), clip, scene, (-600, 350))
        clear = _node(tree, "ShaderNodeBsdfTransparent", (-250, 150))
        surface = _node(tree, "ShaderNodeMixShader", (0, 100))
        tree.links.new(matte.outputs["Color"], surface.inputs["Fac"])
        tree.links.new(clear.outputs[0], surface.inputs[1])
        tree.links.new(emission.outputs[0], surface.inputs[2])
        material.surface_render_method = "BLENDED"
    tree.links.new(surface.outputs[0], output.inputs["Surface"])
    return material


def _texture(
    tree: bpy.types.NodeTree, image: bpy.types.Image, clip: Clip, scene: bpy.types.Scene, place: tuple[int, int]
) -> bpy.types.ShaderNodeTexImage:
    node = _node(tree, "ShaderNodeTexImage", place)
    node.image = image
    node.extension = "EXTEND"  # else the opposite border bleeds in
    play(node.image_user, clip, scene)
    return node


def _undo_exposure(strength: bpy.types.NodeSocket, scene: bpy.types.Scene) -> None:
    driver = strength.driver_add("default_value").driver
    driver.type = "SCRIPTED"
    variable = driver.variables.new()
    variable.name = "exposure"
    variable.targets[0].id_type = "SCENE"
    variable.targets[0].id = scene
    variable.targets[0].data_path = "view_settings.exposure"
    driver.expression = "pow(2, -exposure)"


def _node(tree: bpy.types.NodeTree, kind: str, place: tuple[int, int]) -> bpy.types.Node:
    node = tree.nodes.new(kind)
    node.location = place
    return node
