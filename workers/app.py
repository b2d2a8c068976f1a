"""The Celery application. With ``gangamon.client`` the only place that wires the parts.

Settings measured on Celery 5.7 with the Redis transport: messages may be lost, doubled or late
whatever is set, so none matters; these make it rare, and recovery quick.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import kombu
from celery import Celery
from celery.app.amqp import AMQP

from gangamon import backends, fetchers, instance, postprocess, redis_url, settings
from gangamon.dispatch import CeleryQueue
from gangamon.fetchers import stored
from gangamon.fetchers.putting import Putting
from gangamon.postprocess import growth, manifest, process, progress
from gangamon.protocols import Backend, CodeLimits
from gangamon.services.alarm import Alarm
from gangamon.services.check import Check
from gangamon.services.clock import SystemClock
from gangamon.services.due import Capacity, Dispatcher
from gangamon.services.fetch import Fetch
from gangamon.services.grow import Grow
from gangamon.services.intake import Intake
from gangamon.services.leases import LeaseKeeper
from gangamon.services.merge import Merge
from gangamon.services.notify import Notify
from gangamon.services.poll import Poll
from gangamon.services.progress import Progress
from gangamon.services.prune import Prune
from gangamon.services.push import Watcher
from gangamon.services.tick import Tick
from gangamon.settings import Settings
from gangamon.store.journal import FileJournal
from gangamon.store.redis import RedisStore
from workers import beat, routing, signals, tracing
from workers.presence import Presence

SETTINGS = settings.load()
BROKER = instance.redis_url(SETTINGS) or "redis://127.0.0.1:6379/0"
ADDRESS = redis_url.parse(BROKER)

#: Seconds between two looks for a broker that is away.
RETRY = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 1.0}


class Connection(kombu.Connection):
    """Asks for a broker that is away every second, in Celery it is every 2, 4, 6 ... 30."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        return super().ensure_connection(*args, **{**RETRY, **options})


class Messages(AMQP):
    Connection = Connection


app = Celery("gangamon", broker=ADDRESS.broker(), include=["workers.tasks"], amqp=Messages)
app.conf.update(
    task_ignore_result=True,
    result_backend=None,
    task_serializer="json",
    accept_content=["json"],
    # A message is a hint: what a killed worker had in hand comes back with its lease. Late acks
    # would add nothing, and end a thread pool's worker when Redis goes away while it acks.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    task_create_missing_queues=True,
    task_default_queue=routing.TICK,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    broker_transport_options={
        # The same in every application on this broker. Longer than a task may wait and run.
        "visibility_timeout": 3600,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        # A half-open connection is noticed after three times the interval, one to send by after
        # the time-out: with all of a host's half-open, the next transition comes 26 s later, where
        # it was 52 s with the 10 and 15 s that are more usual.
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": ADDRESS.scheme != "unix",
        "health_check_interval": 3,
        "global_keyprefix": f"{SETTINGS.redis_prefix}:celery:",
        "queue_order_strategy": "round_robin",
        **ADDRESS.transport_options(),
    },
    broker_use_ssl=ADDRESS.broker_tls(),
    worker_soft_shutdown_timeout=10,
    worker_enable_soft_shutdown_on_idle=False,
    worker_max_tasks_per_child=5000,
    worker_send_task_events=True,
    task_send_sent_event=False,
    worker_hijack_root_logger=True,
    worker_redirect_stdouts=False,
    **beat.schedule(SETTINGS.tick_seconds),
)


def announce(node: str) -> None:
    """What all processes of a cell must agree on; ``gangamon doctor`` compares it."""
    common = {
        "tick_seconds": SETTINGS.tick_seconds,
        "lease_seconds": SETTINGS.lease_seconds,
        "visibility_timeout": app.conf.broker_transport_options["visibility_timeout"],
    }
    Presence(RedisStore(BROKER, SETTINGS.redis_prefix), node, common).start()


signals.connect(announce, SETTINGS.log_format)
tracing.connect(SETTINGS)


class Services:
    """The services, wired. Nothing connects before it is used, so a fork may come between."""

    def __init__(self, settings: Settings, url: str, app: Celery) -> None:
        clock = SystemClock()
        store = RedisStore(url, settings.redis_prefix)
        keeper = LeaseKeeper(store, settings.lease_seconds)

        @cache
        def backend(name: str) -> Backend:
            return backends.configured(backends.load(name), settings.backends)

        dispatcher = Dispatcher(
            store,
            CeleryQueue(app, expires=settings.lease_seconds),
            backend,
            Capacity(
                fetch_slots=2 * settings.transfer_threads,
                stage_slots=2 * settings.merge_processes,
                lease=settings.lease_seconds,
                poll_threads=settings.poll_threads,
            ),
            Alarm(),
        )
        journal = FileJournal(settings.journal_dir)
        intake = Intake(
            store,
            journal,
            backends.names,
            postprocess.kinds,
            postprocess.checkers,
            clock,
            postprocess.notifiers,
        )
        prune = Prune(store, intake, journal, settings.retention_days)
        self.tick = Tick(store, intake, dispatcher, prune)
        watcher = Watcher(store, dispatcher, backend)
        self.poll = Poll(store, keeper, dispatcher, backend, clock, watcher)
        limits = CodeLimits(settings.code_seconds, settings.code_megabytes)
        checker = partial(postprocess.checker, limits=limits)
        merger = partial(postprocess.for_kind, limits=limits)
        told = Progress(store, progress.expected, progress.written)
        self.grow = Grow(store, keeper, merger, growth.forget, told)
        self.fetch = Fetch(
            store,
            keeper,
            dispatcher,
            fetchers.for_backend,
            checker,
            settings.fetch_attempts,
            clock,
            self.grow.every if settings.merge_while_running else lambda _: None,
            postprocess.notifier,
            stored.complete,
            settings.storage_slots,
            Putting(partial(process.shell, limits=limits)),
        )
        self.merge = Merge(store, keeper, dispatcher, merger, told)
        self.check = Check(store, keeper, dispatcher, manifest.verify, checker)
        self.notify = Notify(
            store,
            keeper,
            dispatcher,
            settings.notify_command,
            settings.notify_webhook,
            postprocess.notifier,
        )


services = Services(SETTINGS, BROKER, app)
