"""A Ganga runtime package: the backend ``Grid``, which is no more than its name, with what DIRAC's
has besides: a credential, ``reset``, ``tear_down_monitoring``. For sessions under test."""

# mypy: ignore-errors


def loadPlugins(config=None):  # noqa: N802 (Ganga's name)
    import ganga_grid.backend  # noqa: F401
