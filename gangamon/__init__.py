"""gangamon: Ganga's job monitoring, outside the Ganga session.

``loadPlugins`` is the hook that Ganga calls on a runtime package (Utility/Runtime.py, 8.7.12).
"""

from __future__ import annotations

__version__ = "0.1.0"


def loadPlugins(config: object = None) -> None:  # noqa: N802 (Ganga's name)
    """Put the adapter in the place of Ganga's own monitoring, before Ganga starts it."""
    from gangamon.adapter import install

    install()
