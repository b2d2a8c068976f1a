"""Every key, in one place.

``P`` is the prefix of the cell, ``O`` an owner, ``R`` a repository id, ``M`` a master job's id,
``Q`` a queue (``poll.LANE``, ``fetch.O``, ``merge.O``, ``check.O``, ``notify.O``)::

    P:schema                 schema version of all below
    P:epoch                  random id of this life of the store
    P:journaled              hash: journal -> mark of its last record that was applied
    P:owners                 set: owners that have an inbox
    P:inbox:O                stream: commands from clients, deleted when taken in
    P:taken:O                sorted set: id of a command taken in -> when, ms (the newest)
    P:updates:O:R            stream: acknowledgements, transitions, final statuses
    P:repo:O:R               hash: roots (json)
    P:repos                  set of O:R
    P:masters:O:R            set of M
    P:m:O:R:M                hash: the master's record; n:STATUS counters, r:STAGE results
    P:m:O:R:M:spec           hash: sub -> json of what was enqueued
    P:m:O:R:M:batch          hash: sub -> number of the batch it is asked in
    P:m:O:R:M:state          hash: sub -> state (attempt.restart.rank:status), compared and swapped
    P:m:O:R:M:facts          hash: sub -> json: evidence, history, attributes
    P:b:O:R:M:N              hash: n (jobs), subs (json): one batch; O:R:M:N is its member name
    P:queues                 set of Q
    P:due:Q                  sorted set: member -> due, ms
    P:tries:Q                hash: member -> times put off in a row
    P:leases                 sorted set: claim token -> expiry, ms
    P:slots:Q                sorted set: claim token -> expiry, ms: the lane's semaphore
    P:claim:TOKEN            hash: q, by, left, jobs, m:MEMBER
    P:lane:LANE              hash: interval, query, failures, asked_at, error
    P:lags:LANE              list: the last detection lags, seconds
    P:tick                   string: ms of the last tick

Members: a batch is ``O:R:M:N``, a job's fetch ``O:R:M:SUB@ATTEMPT``, a master's stage
``O:R:M@ATTEMPT``. Names of owners hold no ``:``.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Schema of the keys above. A newer one is refused, an older one migrated.
SCHEMA = 1


@dataclass(frozen=True)
class Keys:
    """Key names under one prefix."""

    prefix: str

    def of(self, *parts: object) -> str:
        return ":".join((self.prefix, *map(str, parts)))

    def master(self, owner: str, repository: str, master: int) -> str:
        return self.of("m", owner, repository, master)

    def due(self, queue: str) -> str:
        return self.of("due", queue)

    def updates(self, owner: str, repository: str) -> str:
        return self.of("updates", owner, repository)

    def inbox(self, owner: str) -> str:
        return self.of("inbox", owner)


def batch_member(owner: str, repository: str, master: int, number: int) -> str:
    return f"{owner}:{repository}:{master}:{number}"


def job_member(owner: str, repository: str, master: int, sub: int, attempt: int) -> str:
    return f"{owner}:{repository}:{master}:{sub}@{attempt}"


def master_member(owner: str, repository: str, master: int, attempt: int) -> str:
    return f"{owner}:{repository}:{master}@{attempt}"
