"""DiracX: ``backend`` asks, ``answers`` reads; the states are DIRAC's."""

from gangamon.backends.diracx.backend import DiracXBackend

__all__ = ["DiracXBackend"]
