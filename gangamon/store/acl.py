"""Redis ACL rules for each role, from the key map (``store/keys.py``).

Redis checks a script's own calls too (redis.io/docs/management/security/acl, Redis 7), so that a
role can touch no key beyond its patterns, whatever it sends. ``%R~`` and ``%W~`` need Redis 7.0 or
Valkey 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gangamon.errors import BadInput
from gangamon.store import keys

#: Families of keys that are one owner's, as they go on after their name; ``{o}``: the owner.
OWNED = {
    "inbox": "{o}",
    "taken": "{o}",
    "updates": "{o}:*",
    "repo": "{o}:*",
    "masters": "{o}:*",
    "m": "{o}:*",
    "b": "{o}:*",
    "claim": "{o}:*",
    "grown": "{o}",
}

#: Families with a queue in their name, of which the stages' end with the owner.
QUEUES = ("due", "slots", "tries", "strikes")
STAGES = ("fetch", "merge", "check", "notify", "grow")

#: Families that a poll writes, whose jobs they are.
_POLLED = ("m", "b", "updates", "claim", "grown", *QUEUES, "ring", "wants", "lane", "budget",
           "calls", "lags")  # fmt: skip

#: What all share that commits write to, and where each process says that it runs.
_COUNTED = ("leases", "queues", "dead", "ended", "counted", "processes")

#: What Celery's transport needs of its own beside the queues: what is not acknowledged, bindings,
#: the answers of remote control. Shared by all workers; messages hold ids only.
_CELERY = ("unacked*", "_kombu.*", "*.reply.celery.pidbox*", "*.celery.pidbox*")

#: After the name of a queue of Celery that has priorities: a character that is in no owner's name.
_RANKS = "[^-a-zA-Z0-9_.@+]*"

#: Commands that no process of the service has need of: KEYS, FLUSHALL, CONFIG, MONITOR, ...
_SERVICE = "+@all -@dangerous -@admin +info -function"
_READ = (
    "+get +hget +hmget +hgetall +hkeys +hlen +smembers +zrange +zrangebyscore +zcard +zcount "
    "+zscore +lrange +llen +xrange +xrevrange +xread +xlen +xinfo|stream +exists +time"
)
#: Of CLIENT what says something of one's own connection. A rule that names a subcommand which the
#: server does not know (setinfo, before 7.2) would keep it from starting.
_SESSION = (
    "+ping +auth +hello +select +client -client|kill -client|list -client|pause -client|unpause "
    "-client|unblock -client|no-evict +multi +exec"
)

#: Commands of Sentinel and of replicas, from Redis's documentation of both (the same pages).
_SENTINEL = (
    "allchannels +multi +slaveof +replicaof +ping +exec +subscribe +config|rewrite +role +publish "
    "+info +client|setname +client|kill +client|no-evict +script|kill"
)


@dataclass(frozen=True)
class Rule:
    """One line of an ACL file. ``password``: its SHA-256 in hex, or '' (the user is off).
    ``login``: whether it is to have one."""

    user: str
    what: str
    rules: Sequence[str]
    login: bool = True

    def line(self, password: str = "") -> str:
        state = ["on", f"#{password}"] if password else ["off"]
        return " ".join(["user", self.user, "reset", *state, *self.rules])


def rules(prefix: str, owners: Iterable[str]) -> list[Rule]:
    """Every role; ``client`` and ``owner`` once for each of ``owners``. BadInput."""
    names = list(dict.fromkeys(owners))
    if bad := [name for name in names if not re.fullmatch(r"[\w.@+-]+", name)]:
        raise BadInput([f"owner: got {bad[0]!r}; accepted: letters, digits and . _ @ + -"])
    found = [
        # Redis 7.0 loads its append-only file as this user, and leaves out of transactions what it
        # may not do: all that scripts have written (seen with 7.0.15; not with Valkey 9.1).
        Rule("default", "nobody: Redis itself, when it reads its append-only file",
             ["~*", "&*", "+@all"], login=False),
        Rule("gangamon-tick", "beat and the workers that tick", _tick(prefix)),
        Rule("gangamon-poll", "the poll workers", _poll(prefix)),
        Rule("gangamon-reader", "the job page and the command line of who looks after it all",
             [*_reading(prefix, None), *f"{_READ} {_SESSION}".split()]),
        Rule("gangamon-metrics", "metrics: counts, and Redis's own INFO",
             [*_reading(prefix, None), *f"{_READ} {_SESSION} +info".split()]),
        Rule("gangamon-flower", "Flower: reads Celery's queues and events", _flower(prefix)),
        Rule("gangamon-sentinel", "the sentinels", _SENTINEL.split()),
        Rule("gangamon-replica", "the replicas", ["+psync", "+replconf", "+ping"]),
    ]  # fmt: skip
    for name in names:
        found += [
            Rule(f"gangamon-worker-{name}", f"the transfer and merge workers of {name}",
                 _worker(prefix, name)),
            Rule(f"gangamon-client-{name}", f"the sessions and the command line of {name}",
                 _client(prefix, name)),
        ]  # fmt: skip
    return found


def _tick(prefix: str) -> list[str]:
    return [f"~{prefix}:*", "allchannels", *_SERVICE.split()]


def _poll(prefix: str) -> list[str]:
    """All but what commands bring: inboxes, what was taken in, roots, the epoch."""
    write = [*(f"{family}:*" for family in _POLLED), *_COUNTED]
    write += [f"celery:{queue}.*" for queue in ("poll", "transfer", "merge")]
    write += [f"celery:{tail}" for tail in _CELERY]
    read = ["schema", "epoch", "life", "repo:*", "masters:*"]
    return [
        *(f"~{prefix}:{tail}" for tail in write),
        *(f"%R~{prefix}:{tail}" for tail in read),
        "allchannels",
        *_SERVICE.split(),
    ]


def _worker(prefix: str, owner: str) -> list[str]:
    """Its owner's jobs, queues and claims; of what all share, what a commit needs."""
    write = [f"{family}:{tail.format(o=owner)}" for family, tail in OWNED.items()
             if family not in ("inbox", "taken", "repo")]  # fmt: skip
    write += [f"{family}:{stage}.{owner}" for family in QUEUES for stage in STAGES]
    write.append("slots:st:*")  # of a storage, which has one budget for all owners
    write += _COUNTED
    write += [
        f"celery:{queue}.{owner}{tail}" for queue in ("transfer", "merge") for tail in ("", _RANKS)
    ]
    write += [f"celery:{tail}" for tail in _CELERY]
    read = ["schema", "epoch", "life", f"repo:{owner}:*"]
    return [
        *(f"~{prefix}:{tail}" for tail in write),
        *(f"%R~{prefix}:{tail}" for tail in read),
        "allchannels",
        *_SERVICE.split(),
    ]


def _client(prefix: str, owner: str) -> list[str]:
    return [
        f"~{prefix}:inbox:{owner}",
        f"%W~{prefix}:owners",
        *_reading(prefix, owner),
        *f"{_READ} {_SESSION} +xadd +sadd".split(),
    ]


def _flower(prefix: str) -> list[str]:
    write = [f"~{prefix}:celery:{tail}" for tail in (*_CELERY, "celeryev.*")]
    commands = f"{_READ} {_SESSION} +@pubsub +type +sadd +srem +lpush +brpop +del +expire +hset"
    commands += " +zadd +zrem +hdel +zrevrangebyscore +watch +unwatch +discard +info"
    # What kombu's transport takes of scripts and of a lock; a script reaches no more keys.
    commands += " +set +eval +evalsha +script|load +script|exists"
    return [f"%R~{prefix}:celery:*", *write, "allchannels", *commands.split()]


def _reading(prefix: str, owner: str | None) -> list[str]:
    """What views read: an owner's jobs and those counts of all that are no one's secret."""
    tail = {family: text.format(o=owner or "*") for family, text in OWNED.items()}
    own = [f"{family}:{tail[family]}" for family in ("updates", "repo", "masters", "m", "b")]
    shared = ["schema", "epoch", "repos", "tick", *_COUNTED]
    per_lane = ["lane:*", "budget:*", "calls:*", "lags:*", "ring:*", "slots:*", "due:*"]
    # Claims under way, those of polls too; why a stage was put off.
    if owner is None:
        more = ["owners", "inbox:*", "claim:*", "tries:*", "celery:*"]
    else:
        more = [f"claim:{owner}:*", *(f"tries:{stage}.{owner}" for stage in STAGES)]
    return [f"%R~{prefix}:{name}" for name in (*own, *shared, *per_lane, *more)]


def families() -> set[str]:
    """The first part of each key of the map."""
    return set(re.findall(r"^    P:(\w+)", keys.__doc__ or "", re.MULTILINE))
