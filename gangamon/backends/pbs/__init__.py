"""PBS: ``backend`` asks, ``answers`` reads, ``states`` says what it means."""

from gangamon.backends.pbs.backend import PBSBackend

__all__ = ["PBSBackend"]
