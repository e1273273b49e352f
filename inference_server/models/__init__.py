"""The networks, as torch modules. They know tensors and configs; no files, no jobs, no web."""

from inference_server.models import lean as lean  # before any module of diffusers
