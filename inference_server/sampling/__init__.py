"""Windows over a clip, starting noise, the solver and the denoising loop: tensors only, whatever the engine."""
