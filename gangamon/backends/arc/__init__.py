"""ARC: ``backend`` asks a CE's REST interface, ``answers`` reads, ``states`` says what it means."""

from gangamon.backends.arc.backend import ArcBackend

__all__ = ["ArcBackend"]
