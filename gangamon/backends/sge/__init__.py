"""Grid Engine: ``backend`` asks, ``answers`` reads, ``states`` says what it means."""

from gangamon.backends.sge.backend import SGEBackend

__all__ = ["SGEBackend"]
