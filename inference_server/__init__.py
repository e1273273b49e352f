"""Local GPU server that turns a reference picture and part maps into a video of that person moving."""

__version__ = "0.1.0"
