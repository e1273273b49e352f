"""Local GPU server that turns a reference picture and part maps into a video of that person moving."""

import logging

# diffusers imports xformers wherever it is installed, and xformers warns at length where its CUDA kernels do not load.
# It is only used when asked for, and what is wrong is said then.
logging.getLogger("xformers").setLevel(logging.ERROR)

__version__ = "0.1.0"
