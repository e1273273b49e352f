"""DensePose part labels for any rigged humanoid, from its skin weights and rest pose. Pure numpy."""
