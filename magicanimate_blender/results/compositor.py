"""A node group in the scene's compositor that lays a clip over the render."""

import bpy

from .clip import Clip, tag
from .sequence import load_mattes, load_sequence
from .timing import play

SCENE_TREE_IS_A_GROUP = bpy.app.version >= (5, 0, 0)
COVER = "magicanimate_cover"
"""On the node that scales the picture's extent, not the picture."""
_OF_SCENE = {
    "w": "render.resolution_x",
    "h": "render.resolution_y",
    "part": "render.resolution_percentage",
    "a": "render.pixel_aspect_x",
    "b": "render.pixel_aspect_y",
    "fit": "camera.data.sensor_fit",  # 0: Auto, 1: Horizontal, 2: Vertical
}


def add_to_compositor(scene: bpy.types.Scene, clip: Clip) -> bpy.types.Node:
    """Put the clip over whatever the scene's compositor shows now, cut out if it has mattes. Returns the group node.

    The picture is scaled to what the part maps' camera saw, so that it lies on the rendered character.
    """
    tree = compositor_tree(scene)
    sink = _sink(tree)
    node = tree.nodes.new("CompositorNodeGroup")
    node.node_tree = _group(scene, clip)
    node.label = clip.name
    node.location = (sink.location.x - 200, sink.location.y)
    if not sink.inputs[0].is_linked:
        layers = tree.nodes.new("CompositorNodeRLayers")
        layers.scene = scene
        layers.location = (sink.location.x - 600, sink.location.y)
        tree.links.new(layers.outputs["Image"], sink.inputs[0])
    tree.links.new(sink.inputs[0].links[0].from_socket, node.inputs[0])
    tree.links.new(node.outputs[0], sink.inputs[0])
    scene.render.use_compositing = True
    return node


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor tree; made if there is none."""
    if SCENE_TREE_IS_A_GROUP:
        if scene.compositing_node_group is None:
            tree = bpy.data.node_groups.new(f"{scene.name} compositing", "CompositorNodeTree")
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
            scene.compositing_node_group = tree
        return scene.compositing_node_group
    scene.use_nodes = True
    return scene.node_tree


def group_users(group: bpy.types.NodeTree) -> list[tuple[bpy.types.NodeTree, bpy.types.Node]]:
    """Compositor nodes that show this group, with their trees."""
    trees = [tree for tree in bpy.data.node_groups if tree.bl_idname == "CompositorNodeTree"]
    if not SCENE_TREE_IS_A_GROUP:
        trees += [scene.node_tree for scene in bpy.data.scenes if scene.node_tree]
    return [(tree, node) for tree in trees for node in tree.nodes if node.type == "GROUP" and node.node_tree == group]


def take_out(tree: bpy.types.NodeTree, node: bpy.types.Node) -> None:
    """Remove a node and join what came into its first input to what its first output fed."""
    source = node.inputs[0].links[0].from_socket if node.inputs[0].is_linked else None
    targets = [link.to_socket for link in node.outputs[0].links]
    tree.nodes.remove(node)
    for target in targets if source else ():
        tree.links.new(source, target)


def fit(tree: bpy.types.NodeTree, clip: Clip) -> None:
    """Have the picture scaled so that the camera's sensor covers the same side of it and of the render, at any time.

    A driver follows resolution, percentage, pixel aspect and sensor fit of the scene that is rendered. The side that a
    sensor covers, in pixels: the width (Horizontal), the height times the pixel aspect (Vertical), the larger (Auto).
    """
    width, height = clip.size
    expression = (
        f"max((fit<2)*floor(w*part/100),(fit!=1)*floor(h*part/100)*b/a)/max((fit<2)*{width},(fit!=1)*{height}*b/a)"
    )
    for node in tree.nodes:
        if node.bl_idname == "CompositorNodeScale":
            wider = COVER in node  # by a pixel of the render, so that rounding never leaves a line at its border
            for axis, size in (("X", width), ("Y", height)):
                _drive(node.inputs[axis], f"{expression}+1/{size}" if wider else expression)


def _drive(socket: bpy.types.NodeSocket, expression: str) -> None:
    socket.driver_remove("default_value")
    driver = socket.driver_add("default_value").driver
    driver.type = "SCRIPTED"
    for name, path in _OF_SCENE.items():
        variable = driver.variables.new()
        variable.name, variable.type = name, "CONTEXT_PROP"
        variable.targets[0].context_property = "ACTIVE_SCENE"
        variable.targets[0].data_path = path
    driver.expression = expression


def _group(scene: bpy.types.Scene, clip: Clip) -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new(clip.name, "CompositorNodeTree")
    tag(tree, clip)
    tree.interface.new_socket("Image", in_out="INPUT", socket_type="NodeSocketColor")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    under, output = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    under.location, output.location = (-200, 200), (400, 0)
    picture = tree.nodes.new("CompositorNodeImage")
    picture.image = load_sequence(scene, clip)
    play(picture, clip, scene)
    picture.location = (-600, 0)
    figure = picture.outputs["Image"]
    if clip.mattes:
        matte = tree.nodes.new("CompositorNodeImage")
        matte.image = load_mattes(clip)
        play(matte, clip, scene)
        matte.location = (-600, -400)
        alpha = tree.nodes.new("CompositorNodeSetAlpha")
        alpha.location = (-400, 0)
        tree.links.new(figure, alpha.inputs["Image"])
        tree.links.new(matte.outputs["Image"], alpha.inputs["Alpha"])
        figure = alpha.outputs["Image"]
    scale = tree.nodes.new("CompositorNodeScale")
    scale.location = (-200, 0)
    tree.links.new(figure, scale.inputs["Image"])
    over = tree.nodes.new("CompositorNodeAlphaOver")
    over.location = (150, 0)
    # The sockets' names and order changed in Blender 5.0; of the colour sockets the background has always been first.
    background, foreground = (socket for socket in over.inputs if socket.type == "RGBA")
    tree.links.new(under.outputs[0], background)
    tree.links.new(scale.outputs["Image"], foreground)
    tree.links.new(over.outputs[0], output.inputs[0])
    if "Extension X" in scale.inputs:  # from Blender 5.0; before, the border pixels fade out
        for axis in ("Extension X", "Extension Y"):
            scale.inputs[axis].default_value = "Extend"
        # But an extended picture goes on for ever: it is laid over the render as far as it reaches.
        factor = next(socket for socket in over.inputs if socket.type == "VALUE")
        tree.links.new(_extent(tree, picture.outputs["Image"]), factor)
    fit(tree, clip)
    return tree


def _extent(tree: bpy.types.NodeTree, picture: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """1 where the scaled picture is, 0 outside, with a sharp border."""
    cover = tree.nodes.new("CompositorNodeScale")
    cover[COVER] = True
    cover.location = (-200, -300)
    cover.inputs["Interpolation"].default_value = "Nearest"
    alpha = tree.nodes.new("CompositorNodeSeparateColor")
    alpha.location = (-20, -300)
    tree.links.new(picture, cover.inputs["Image"])
    tree.links.new(cover.outputs["Image"], alpha.inputs["Image"])
    return alpha.outputs["Alpha"]


def _sink(tree: bpy.types.NodeTree) -> bpy.types.Node:
    kind = "NodeGroupOutput" if SCENE_TREE_IS_A_GROUP else "CompositorNodeComposite"
    return next((node for node in tree.nodes if node.bl_idname == kind), None) or tree.nodes.new(kind)
