"""Windows over a clip, starting noise, the solver and the denoising loop: tensors only, whatever the engine."""

from inference_server.models import lean as lean  # before any module of diffusers
