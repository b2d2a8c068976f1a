"""DIRAC: ``backend`` asks, ``answers`` reads, ``states`` says what it means."""

from gangamon.backends.dirac.backend import DiracBackend

__all__ = ["DiracBackend"]
