"""Slurm: ``backend`` asks, ``answers`` reads, ``states`` and ``seen`` say what it means."""

from gangamon.backends.slurm.backend import SlurmBackend

__all__ = ["SlurmBackend"]
