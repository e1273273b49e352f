"""The engine's settings as Blender properties, made from the JSON Schema that the server declares.

The properties live in `Scene.magicanimate_engine`; values that differ from the defaults are saved with the .blend.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..animation.spec import MAX_SEED
from ..scene.errors import SceneError
from .engines import engine_for, known_engines, weights_for

PROPERTY = "magicanimate_engine"
UNSET = -1
"""Stands for null in an integer property, where the schema allows null and numbers from 0."""

_schema: Mapping[str, Any] = {}
_group: type[bpy.types.PropertyGroup] | None = None


def schema() -> Mapping[str, Any]:
    """The schema that the properties were made from."""
    return _schema


def names() -> list[str]:
    return [] if _group is None else list(_group.__annotations__)


def group(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    return getattr(scene, PROPERTY)


def values(scene: bpy.types.Scene) -> dict[str, Any]:
    """Settings for a job, by the schema, as they suit the weights in effect."""
    owner = group(scene)
    return {**{name: _value(name, getattr(owner, name)) for name in names()}, **_to_suit(scene)}


def assign(scene: bpy.types.Scene, settings: Mapping[str, Any]) -> None:
    """Set what the schema knows of `settings`."""
    follow_weights(scene)
    _set(scene, settings)


def follow_weights(scene: bpy.types.Scene) -> None:
    """Have the properties show the settings that suit the weights in effect, however those came to be.

    Chosen, or the best that the server has ready just now. Not while drawing.
    """
    if (wanted := _to_suit(scene)) or _suited_to(scene) != scene.magicanimate.suited_to:
        _set(scene, wanted)
        scene.magicanimate.suited_to = _suited_to(scene)


def _to_suit(scene: bpy.types.Scene) -> dict[str, Any]:
    """What is to be set for the weights in effect; nothing while they are those that the properties suit.

    Settings that only other weights recommend go back to the default. In a scene that has not followed any weights yet,
    what somebody has set by hand stays.
    """
    if _suited_to(scene) == scene.magicanimate.suited_to:
        return {}
    engine = engine_for(scene.magicanimate, known_engines())
    recommended = weights_for(scene.magicanimate, engine).recommended_settings
    fields, owner = _schema.get("properties", {}), group(scene)
    return {
        name: recommended.get(name, fields[name].get("default"))
        for weights in engine.weight_sets
        for name in weights.recommended_settings
        if name in names() and (scene.magicanimate.suited_to or not owner.is_property_set(name))
    }


def _suited_to(scene: bpy.types.Scene) -> str:
    """Names the weights in effect."""
    engine = engine_for(scene.magicanimate, known_engines())
    return f"{engine.id}/{weights_for(scene.magicanimate, engine).id}"


def _set(scene: bpy.types.Scene, settings: Mapping[str, Any]) -> None:
    owner = group(scene)
    for name in names():
        if name in settings:
            setattr(owner, name, UNSET if settings[name] is None else settings[name])


def parse(name: str, text: str) -> Any:
    """A setting's value from text, by the schema. Raises SceneError for what it does not allow."""
    field = _resolved(_schema["properties"][name], _schema)
    kind = field.get("type")
    try:
        if field.get("nullable") and text.lower() in ("", "none", "null"):
            return None
        if "enum" in field:
            return {str(choice): choice for choice in field["enum"]}[text]
        if kind == "boolean":
            return {"true": True, "false": False}[text.lower()]
        value = {"integer": int, "number": float}.get(str(kind), str)(text)
        if not field.get("minimum", value) <= value <= field.get("maximum", value):
            raise ValueError
    except (ValueError, KeyError):
        allowed = field.get("enum") or f"{field.get('minimum', '')} to {field.get('maximum', '')}"
        raise SceneError(f"{name} can't be “{text}”.", f"It takes {allowed}.") from None
    return value


def use_schema(new: Mapping[str, Any]) -> None:
    """Make the properties anew for another schema; values of the same name stay."""
    global _schema, _group
    if new == _schema and _group is not None:
        return
    _remove()
    annotations = dict(_properties(new))
    _group = type("MagicAnimateEngineSettings", (bpy.types.PropertyGroup,), {"__annotations__": annotations})
    _schema = new
    bpy.utils.register_class(_group)
    setattr(bpy.types.Scene, PROPERTY, PointerProperty(type=_group))


def _remove() -> None:
    global _group
    if _group is not None:
        delattr(bpy.types.Scene, PROPERTY)
        bpy.utils.unregister_class(_group)
        _group = None


def _properties(source: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in source.get("properties", {}).items():
        made = _property(name, _resolved(field, source))
        if made is not None:
            yield name, made


def _resolved(field: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """With its $ref or the one type beside null in its anyOf laid open; `nullable` says that null is allowed."""
    result = dict(field)
    for part in result.pop("anyOf", ()):
        if part.get("type") == "null":
            result["nullable"] = True
        else:
            result = {**part, **result}
    if "$ref" in result:
        target = source.get("$defs", {}).get(result.pop("$ref").rpartition("/")[2], {})
        result = {**target, **result}
    return result


def _property(name: str, field: Mapping[str, Any]) -> Any:
    common = {"name": field.get("title", name), "description": field.get("description", "")}
    default, kind = field.get("default"), field.get("type")
    if "enum" in field:
        items = [(choice, str(choice).replace("_", " ").capitalize(), "") for choice in map(str, field["enum"])]
        return EnumProperty(items=items, default=default if default in field["enum"] else items[0][0], **common)
    if kind == "boolean":
        return BoolProperty(default=bool(default), **common)
    if kind == "integer":
        if field.get("nullable"):
            common["description"] += f" ({UNSET}: none)"
        lowest = UNSET if field.get("nullable") else max(int(field.get("minimum", 0)), -MAX_SEED)
        highest = min(int(field.get("maximum", MAX_SEED)), MAX_SEED)
        return IntProperty(default=lowest if default is None else default, min=lowest, max=highest, **common)
    if kind == "number":
        limits = {key: float(field[word]) for key, word in (("min", "minimum"), ("max", "maximum")) if word in field}
        whole = {"subtype": "FACTOR"} if limits == {"min": 0.0, "max": 1.0} else {}
        return FloatProperty(default=float(default or 0.0), precision=2, **limits, **whole, **common)
    if kind == "string":
        return StringProperty(default=default or "", **common)
    return None  # of a kind that only a newer add-on can draw: the server's default is used


def _value(name: str, value: Any) -> Any:
    field = _resolved(_schema["properties"][name], _schema)
    if field.get("nullable") and value in (UNSET, ""):
        return None
    if field.get("type") == "number":
        return round(float(value), 6)  # Blender's floats have 32 bits: 7.5, not 7.499999
    return value


def register() -> None:
    use_schema(known_engines()[0].settings_schema)


def unregister() -> None:
    _remove()
