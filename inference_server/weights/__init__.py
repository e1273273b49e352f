"""Weight files: what there is, fetching, adopting, checking, and reading them without running code."""
