"""The HTTP contract of docs/api.md. Nothing here computes; this process stays small and quick to answer."""
