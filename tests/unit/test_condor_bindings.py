"""The names of HTCondor's bindings that Ganga uses, over those of version 2."""

from __future__ import annotations

import pytest

from gangamon.adapter.condor_bindings import Bindings, ClassAds


def test_constraints_keep_their_parentheses() -> None:
    """As Ganga joins them (Condor.py:480, 8.7.12): other clusters' jobs are not meant."""
    tree = ClassAds.ExprTree("false")
    cluster = ClassAds.ExprTree("ClusterID == 6")
    tree = tree.or_(cluster.and_(ClassAds.ExprTree("ProcID == 0 || ProcID == 1")))
    python = tree.replace("&&", "and").replace("||", "or").replace("false", "False")
    found = [
        (c, p) for c in (6, 7) for p in range(3) if eval(python, {"ClusterID": c, "ProcID": p})
    ]
    assert found == [(6, 0), (6, 1)]


def test_every_name_that_ganga_uses() -> None:
    """Also those that version 2 has under another name."""
    bindings = Bindings()
    for name in ("Collector", "Schedd", "Submit", "JobAction", "CredTypes", "HTCondorIOError"):
        assert getattr(bindings, name) is not None
    assert bindings.CredTypes.Kerberos is not None
    assert issubclass(bindings.HTCondorIOError, Exception)
    assert bindings.JobAction.Remove is not None
    bindings.Credd()  # looks for no daemon yet
    with pytest.raises(AttributeError):
        _ = bindings.nothing
