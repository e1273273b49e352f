"""The networks, as torch modules. They know tensors and configs; no files, no jobs, no web."""
