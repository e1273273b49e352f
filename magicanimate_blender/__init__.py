"""MagicAnimate for Blender: pose a character, pick a picture of a person, get a video of that person."""


def register() -> None:
    # Imported here, so that the packages without bpy can be used where there is no Blender.
    from . import ui

    ui.register()


def unregister() -> None:
    from . import ui

    ui.unregister()
