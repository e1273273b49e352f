"""Jobs: what was asked for, in which order it is computed, and the process that computes it."""
