"""A Ganga runtime package: the backend ``Simulated``, for sessions of Ganga 8.7.12.

Load it with ``[Configuration]RUNTIME_PATH = .../benchmarks/vs_ganga/GangaSimulated``.
"""

# mypy: ignore-errors

from GangaCore.Utility.Config import getConfig

#: Seconds between two queries by Ganga's own monitoring. The option must be there before Ganga
#: has started, hence here.
getConfig("PollThread").addOption("Simulated", 10, "Poll rate of the simulated backend.")


def loadPlugins(config=None):  # noqa: N802 (Ganga's name)
    import GangaSimulated.backends  # noqa: F401
