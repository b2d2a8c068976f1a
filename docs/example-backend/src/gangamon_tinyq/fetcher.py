"""Outputs of TinyQ's jobs: Ganga's wrapper writes them into its workspace, which is shared."""

from __future__ import annotations

from gangamon.fetchers.local import LocalFetcher


class TinyQFetcher(LocalFetcher):
    """They are verified where they lie."""

    name = "TinyQ"
