"""HTCondor: ``schedd`` asks, ``ads`` and ``eventlog`` read, ``states`` and ``seen`` say what it
means, ``backend`` puts it together."""

from gangamon.backends.condor.backend import CondorBackend

__all__ = ["CondorBackend"]
