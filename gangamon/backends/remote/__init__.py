"""Ganga's Remote: ``backend`` asks, ``look`` is what runs on the other host, and reads it."""

from gangamon.backends.remote.backend import RemoteBackend

__all__ = ["RemoteBackend"]
