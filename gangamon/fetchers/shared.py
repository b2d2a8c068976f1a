"""Outputs of batch jobs that write them into Ganga's workspace themselves.

Ganga's wrapper copies them there before it ends, and the batch system writes stdout and stderr
there (Lib/Batch/Batch.py and BatchScriptTemplate.py.template, 8.7.12): the file system is shared by
the nodes of the cluster. So they are only verified, as those of Local; NFS shows what was closed
before a directory is opened.
"""

from __future__ import annotations

from gangamon.fetchers.local import LocalFetcher


class CondorFetcher(LocalFetcher):
    """See LocalFetcher: HTCondor brings the outputs to where the job was submitted before it writes
    its end (``transfer_output_files``, Lib/Condor/Condor.py:436, 8.7.12)."""

    name = "Condor"


class BatchFetcher(LocalFetcher):
    """See LocalFetcher; there is no work directory to remove, that is on the node."""


class LSFFetcher(BatchFetcher):
    """See BatchFetcher."""

    name = "LSF"


class PBSFetcher(BatchFetcher):
    """See BatchFetcher."""

    name = "PBS"


class SGEFetcher(BatchFetcher):
    """See BatchFetcher."""

    name = "SGE"


class SlurmFetcher(BatchFetcher):
    """See BatchFetcher."""

    name = "Slurm"
