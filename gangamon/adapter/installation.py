"""Puts the adapter into a Ganga that is starting: class swap, hook, patches.

GangaCore.Core.bootstrap imports the monitoring class when it makes the component, which is after
``loadPlugins``: so swapping the class here means that Ganga's own service is never started.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from GangaCore.Utility.logging import getLogger

from gangamon import settings as settings_module
from gangamon.adapter import identity, internals, options, patches
from gangamon.adapter.watch import hooks
from gangamon.errors import GangamonError
from gangamon.services import mode, shadow
from gangamon.settings import hostname

logger = getLogger("gangamon")

#: Ganga's own class, once it is replaced: one process may start Ganga many times, as its tests do.
_stock: Any = None

_OFF = "gangamon is off in this session, Ganga's own monitoring is used: %s"


def install(make_client: Callable[..., Any] | None = None) -> bool:
    """See ``gangamon.adapter.install``."""
    try:
        return _install(make_client)
    except GangamonError as error:
        _without(str(error))
    except Exception as error:  # noqa: BLE001 - Ganga stops if a runtime package raises here
        _without(f"{type(error).__name__}: {error}")
    return False


def _without(why: str) -> None:
    """Ganga's own monitoring it is; the service is not to meet it in the same jobs."""
    logger.warning(_OFF, why)
    try:
        if _used():
            _flag(options.OFF)
    except Exception as error:  # noqa: BLE001 - a gangadir that cannot be written
        logger.debug("gangamon: the flag: %s", error)


def _install(make_client: Callable[..., Any] | None) -> bool:
    global _stock
    chosen = options.make()
    wanted = chosen.chosen
    if wanted == options.OFF and not _used():
        return False
    fresh = not _used()
    settings = settings_module.load()
    if _stock is None and (lacking := internals.missing()):
        raise GangamonError(f"it does not know this version of Ganga: {'; '.join(lacking)}")
    _flag(wanted)
    if make_client is None:
        from gangamon.client import Client

        make_client = Client
    from GangaCore.Core.MonitoringComponent import MonitoringService

    from gangamon.adapter.component import Monitoring

    if _stock is None:
        _stock = MonitoringService.AsyncMonitoringService
        if wanted == options.GANGAMON:
            _patch(chosen)
    stock, factory = _stock, make_client

    def make_component(registry_slice: Any = None) -> Any:
        """Called by Ganga in the place of its own class."""
        try:
            component = Monitoring(
                registry_slice,
                settings,
                chosen,
                factory,
                lambda: stock(registry_slice=registry_slice),
                fresh,
            )
            _export(component)
        except Exception as error:  # noqa: BLE001 - whatever it is, Ganga must start
            _without(f"{type(error).__name__}: {error}")
            return stock(registry_slice=registry_slice)
        patches.current.watch = component
        hooks.ear.listen(component.heard, component)
        return component

    if wanted == options.GANGAMON:
        _hook()
    MonitoringService.AsyncMonitoringService = make_component
    return True


def _place() -> Path:
    from GangaCore.Utility.Config import getConfig

    return identity.directory(str(getConfig("Configuration")["gangadir"]))


def _used() -> bool:
    """Whether the service may have jobs of this repository: then it must be told to leave them."""
    return (_place() / identity.NAME).exists()


def _flag(wanted: str) -> None:
    """What one session lacks is for that session: the next one that has gangamon takes the jobs
    back. What a person has set stays."""
    found = mode.read(_place())
    if wanted != options.GANGAMON and found.mode == mode.GANGAMON:
        mode.write(_place(), mode.GANGA, f"{options.BY[wanted]} on {hostname()}")
    elif (
        wanted == options.GANGAMON
        and found.mode == mode.GANGA
        and found.by.startswith(tuple(options.BY.values()))
    ):
        mode.write(_place(), mode.GANGAMON, f"a session on {hostname()}")


def _export(component: Any) -> None:
    """What the prompt can call."""
    import GangaCore.GPI
    from GangaCore.Runtime.GPIexport import exportToInterface

    from gangamon.adapter.prompt.monitor import SUMMARY, Monitor

    def gangamon_mode(mode: str = "") -> str:
        """Who watches this repository's jobs, for good: gangamon_mode('ganga') gives them back to
        Ganga's own monitoring, gangamon_mode('gangamon') takes them to gangamon again. Without
        an argument nothing changes. Returns the mode; what it brings is done in the background."""
        return str(component.switch.set(mode))

    exportToInterface(GangaCore.GPI, "gangamon_mode", gangamon_mode, "Functions")
    exportToInterface(GangaCore.GPI, "monitor", Monitor(component), "Objects", SUMMARY)
    if (onlooker := component.switch.onlooker) is None:
        return

    def gangamon_shadow() -> None:
        """Print what comparing gangamon with Ganga's own monitoring has shown in this session."""
        sys.stdout.write("\n".join(shadow.text(onlooker.summary())) + "\n")

    exportToInterface(GangaCore.GPI, "gangamon_shadow", gangamon_shadow, "Functions")


def _hook() -> None:
    """Add the hook to whatever external monitoring the user has configured for all jobs."""
    from GangaCore.Utility.Config import getConfig, setUserValue

    section = getConfig("MonitoringServices")
    name = "*/*"
    present = section[name] if name in section.options else ""
    names = [n.strip() for n in (present or "").split(",") if n.strip()]
    if hooks.PATH not in names:
        setUserValue("MonitoringServices", name, ",".join([*names, hooks.PATH]))


def _patch(chosen: options.Options) -> None:
    """One warning names all that is left alone, and what that means."""
    table = (
        (
            chosen.PatchMergers,
            patches.patch_mergers,
            "IMerger.execute (outputs are merged in the session)",
        ),
        (
            chosen.PatchCheckers,
            patches.patch_checkers,
            "IChecker.execute (outputs are checked in the session)",
        ),
        (
            chosen.PatchNotifier,
            patches.patch_notifier,
            "Notifier.execute (mails are sent from the session)",
        ),
        (
            chosen.PatchPuts,
            patches.patch_puts,
            "MassStorageFile.put (outputs are put on mass storage in the session)",
        ),
        (
            chosen.PatchMasterStatus,
            patches.patch_master_status,
            "Job.updateMasterJobStatus (a master job may end before its outputs are merged)",
        ),
        (
            chosen.PatchFlush,
            patches.patch_flush,
            "JobRegistry._flush (the prompt stands still while many changed subjobs are written)",
        ),
        (
            chosen.PatchIndexCache,
            patches.patch_index_cache,
            "JobRegistry.getIndexCache (lists of loaded subjobs are slow)",
        ),
        (
            chosen.PatchSubjobLoad,
            patches.patch_subjob_load,
            "SubJobXMLList._getItem (a session that is opened again is slow to show what changed)",
        ),
        (
            chosen.PatchCondor,
            patches.patch_condor,
            "Condor.master_submit (it cannot submit with bindings of HTCondor 25 and later)",
        ),
    )
    left = [what for wanted, apply, what in table if wanted and not apply()]
    if left:
        logger.warning(
            "gangamon: this is Ganga %s: it was tested with %s; what is not known is left alone, "
            "all else works: %s",
            patches.version(),
            ", ".join(patches.TESTED),
            "; ".join(left),
        )
