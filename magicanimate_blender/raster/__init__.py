"""Label pictures: camera projection, z-buffer and PNG. Pure numpy, safe in any thread."""
