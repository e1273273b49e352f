"""MagicAnimate for Blender: pose a character, pick a picture of a person, get a video of that person."""
