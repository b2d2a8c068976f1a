"""LSF: ``backend`` asks, ``answers`` reads, ``states`` says what it means."""

from gangamon.backends.lsf.backend import LSFBackend

__all__ = ["LSFBackend"]
