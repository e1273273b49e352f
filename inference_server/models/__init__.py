"""The networks, as torch modules. They know tensors and configs; no files, no jobs, no web."""

import logging

# diffusers imports xformers wherever it is installed, and xformers warns at length on machines without its CUDA kernels.
# It is only used when asked for, and says then what is wrong.
logging.getLogger("xformers").setLevel(logging.ERROR)
