"""The networks, as torch modules. They know tensors and configs; no files, no jobs, no web."""

import logging

# diffusers imports xformers wherever it is installed, and xformers warns at length where its CUDA kernels do not load.
# It is only used when asked for, and what is wrong is said then.
logging.getLogger("xformers").setLevel(logging.ERROR)
