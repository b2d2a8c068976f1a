"""A Ganga runtime package with a backend ``ARC`` of the user's own, as docs/backends.md describes
it. For sessions under test."""

# mypy: ignore-errors


def loadPlugins(config=None):  # noqa: N802 (Ganga's name)
    import ganga_arc.backend  # noqa: F401
