"""What the adapter relies on inside Ganga, beyond what its users see; looked at at its start.

What is missing, or takes other arguments, would be a traceback at the prompt, or a job that stands
still: such a Ganga monitors by itself, and one warning says why. What the patches replace is held
to more than that: see ``patches``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

_REPOSITORY = "GangaCore.Core.GangaRepository"
_OBJECTS = "GangaCore.GPIDev.Base.Objects"

#: module, name of a class (or a function), its methods with their first parameters but ``self``.
RELIED_ON: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
    ("GangaCore.Core.MonitoringComponent.MonitoringService", "AsyncMonitoringService", {}),
    ("GangaCore.GPIDev.Adapters.IMonitoringService", "IMonitoringService", {}),
    (
        f"{_REPOSITORY}.Registry",
        "Registry",
        {
            "_flush": ("objs",),
            "find": ("obj",),
            "has_loaded": ("obj",),
            "hasStarted": (),
            "_acquire_session_lock": ("obj",),
        },
    ),
    (f"{_REPOSITORY}.Registry", "IncompleteObject", {}),
    (f"{_REPOSITORY}.Registry", "RegistryKeyError", {}),
    (f"{_REPOSITORY}.Registry", "RegistryLockError", {}),
    (
        f"{_REPOSITORY}.GangaRepositoryXML",
        "GangaRepositoryLocal",
        {
            "load": ("ids",),
            "get_fn": ("this_id",),
            "get_idxfn": ("this_id",),
            "isObjectLoaded": ("obj",),
        },
    ),
    (
        f"{_REPOSITORY}.SubJobXMLList",
        "SubJobXMLList",
        {
            "__init__": ("jobDirectory", "registry", "dataFileName", "load_backup", "parent"),
            "isLoaded": ("subjob_id",),
            "getAllSJStatus": (),
        },
    ),
    (f"{_REPOSITORY}.VStreamer", "Loader", {"parse": ("s",)}),
    (
        f"{_REPOSITORY}.VStreamer",
        "VStreamer",
        {"__init__": ("out", "selection"), "acceptOptional": ("s",)},
    ),
    (f"{_REPOSITORY}.PickleStreamer", "to_file", {}),
    (
        _OBJECTS,
        "Node",
        {"_getRoot": (), "_setDirty": (), "_setFlushed": (), "_setParent": ("parent",)},
    ),
    (
        _OBJECTS,
        "GangaObject",
        {
            "_loadObject": (),
            "_getSessionLock": (),
            "setSchemaAttribute": ("attrib_name", "attrib_value"),
            "accept": ("visitor",),
        },
    ),
    (
        "GangaCore.GPIDev.Lib.Job.Job",
        "Job",
        {
            "updateStatus": ("newstatus", "transition_update", "update_master"),
            "updateMasterJobStatus": (),
            "getOutputWorkspace": ("create",),
            "auto_resubmit": (),
            "auto_kill": (),
        },
    ),
    ("GangaCore.GPIDev.Lib.Registry.JobRegistry", "JobRegistry", {"getIndexCache": ("obj",)}),
    ("GangaCore.Lib.Mergers.Merger", "TextMerger", {"execute": ("job", "newstatus")}),
    ("GangaCore.Lib.Checkers", "FileChecker", {"check": ("job",)}),
)

#: Attributes of each registry's instances.
SLOTS = ("_read_lock", "_flush_lock", "_objects", "repository", "flush_thread")


def missing() -> list[str]:
    """What this Ganga lacks, one line each; empty: the adapter can work with it."""
    return list(_missing())


def _missing() -> Iterator[str]:
    for module, name, methods in RELIED_ON:
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            yield str(error)
            continue
        for method, wanted in methods.items():
            try:
                given = tuple(inspect.signature(getattr(found, method)).parameters)[1:]
            except (AttributeError, TypeError, ValueError) as error:
                yield f"{name}.{method}: {error}"
                continue
            if given[: len(wanted)] != wanted:
                yield f"{name}.{method}: got ({', '.join(given)}), wanted ({', '.join(wanted)})"
    from GangaCore.Core.GangaRepository.Registry import Registry

    if lacking := [slot for slot in SLOTS if slot not in Registry.__slots__]:
        yield f"Registry: no {', '.join(lacking)}"
