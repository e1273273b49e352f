"""What each object is in a part map: a plain custom property, which travels with the file and with links."""

from __future__ import annotations

from typing import Literal, get_args

import bpy

Role = Literal["body", "ignore", "occlude"]
ROLES: tuple[Role, ...] = get_args(Role)
ROLE_PROPERTY = "magicanimate_role"
"""Custom property of an object. "body" takes part labels (also clothes, hair, props), "ignore" is not drawn,
"occlude" hides what is behind it."""


def get_role(obj: bpy.types.Object) -> Role:
    """The object's role; "body" where nothing, or nothing known, is set."""
    role = obj.get(ROLE_PROPERTY)
    return role if role in ROLES else "body"


def set_role(obj: bpy.types.Object, role: Role) -> None:
    """Set the object's role; "body" is the default and leaves no property behind."""
    if role not in ROLES:
        raise ValueError(f"“{role}” is no role; there are {', '.join(ROLES)}.")
    if role == "body":
        obj.pop(ROLE_PROPERTY, None)
    else:
        obj[ROLE_PROPERTY] = role
    obj.update_tag()
