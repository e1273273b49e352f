"""Blender to arrays: find characters, label their meshes, evaluate frames, frame the camera. Main thread only."""
