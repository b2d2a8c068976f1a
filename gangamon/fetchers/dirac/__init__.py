"""Output sandboxes of DIRAC: ``fetcher`` brings them, ``archive`` unpacks what is not trusted."""

from gangamon.fetchers.dirac.fetcher import DiracFetcher

__all__ = ["DiracFetcher"]
