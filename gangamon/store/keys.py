"""Every key, in one place.

``P`` is the prefix of the cell, ``O`` an owner, ``R`` a repository id, ``M`` a master job's id,
``Q`` a queue (``poll.LANE``, ``fetch.O``, ``merge.O``, ``check.O``, ``notify.O``,
``grow.O``)::

    P:schema                 schema version of all below
    P:epoch                  random id of this life of the store
    P:life                   which server this epoch began with, "RUN_ID HISTORY ADDRESS"
    P:journaled              hash: journal -> mark of its last record that was applied
    P:owners                 set: owners that have an inbox
    P:inbox:O                stream: commands from clients, deleted when taken in
    P:taken:O                sorted set: id of a command taken in -> when, ms (the newest)
    P:updates:O:R            stream: acknowledgements, transitions, final statuses
    P:repo:O:R               hash: roots (json), rates (json: backend -> seconds wished)
    P:repos                  set of O:R
    P:masters:O:R            set of M
    P:ended                  sorted set: O:R:M -> when the master ended, ms
    P:turn:WHAT              string: held for as long as nobody else need do WHAT (prune, compact)
    P:m:O:R:M                hash: the master's record; n:STATUS counters, r:STAGE results, grow;
                             f:jobs, f:files, f:bytes brought, f:since, f:until, ms; of a merge
                             under way g:bytes of g:whole, of g:files, g:first at g:since, g:until
    P:m:O:R:M:spec           hash: sub -> json of what was enqueued
    P:m:O:R:M:batch          hash: sub -> number of the batch it is asked in
    P:m:O:R:M:state          hash: sub -> state (attempt.restart.rank:status), compared and swapped
    P:m:O:R:M:facts          hash: sub -> json: evidence, history, attributes
    P:b:O:R:M:N              hash: n (jobs), subs (json), every (interval in force, ms): one
                             batch; O:R:M:N is its member name
    P:queues                 set of Q
    P:due:Q                  sorted set: member -> due, ms; of polls one for each owner, P:due:Q:O
    P:ring:Q                 sorted set: owner -> when last served, in turns; only of polls
    P:tries:Q                hash: member -> times put off in a row; why:MEMBER -> for what reason
    P:strikes:Q              hash: member -> leases expired in a row
    P:grown:O                hash: O:R:M -> directory in which its merge grows while jobs run
    P:dead                   hash: O:R:M:SUB or a stage's member -> json: queue, reason, at
    P:leases                 sorted set: claim token -> expiry, ms
    P:slots:Q                sorted set: claim token -> expiry, ms: the lane's semaphore
    P:slots:ep:ENDPOINT      sorted set: the same for all lanes of one endpoint of a backend
    P:slots:st:ENDPOINT      sorted set: the same for transfers from one storage
    P:wants:P:slots:ep:...   sorted set: Q -> since when it waits for a slot of that endpoint, ms
    P:claim:TOKEN            hash: q, by, left, jobs, e (slots of the endpoint), s (those of a
                             storage), m:MEMBER; the token of an owner's stage is O:RANDOM
    P:lane:LANE              hash: interval, query, failures, asked_at, error, turn, paused,
                             probe_at, open_until
    P:budget:LANE            hash: tokens, at: the lane's token bucket; rate, burst: its measures
    P:calls:LANE             hash: MINUTE queries, s:MINUTE seconds, m:MINUTE the slowest
    P:lags:LANE              list: the last detection lags, seconds; LAG:INTERVAL where the job
                             had been asked about before
    P:counted                hash: what metrics count, of the cell's whole life: WHAT:LANE,
                             WHAT:LANE:STATUS, lag:LANE:BOUND (see counted.py), rescued:WHAT
    P:celery:QUEUE           list: Celery's messages; and what else kombu keeps below P:celery
    P:processes              hash: NODE -> json: a beat or worker that runs, and at, when it said so
    P:tick                   string: second of the last tick

Members: a batch is ``O:R:M:N``, a job's fetch ``O:R:M:SUB@ATTEMPT``, a master's stage
``O:R:M@ATTEMPT``. Names of owners hold no ``:``.
"""

from __future__ import annotations

from dataclasses import dataclass

from gangamon.domain.lane import Lane

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

    def waiting(self, queue: str, member: str) -> str:
        """The sorted set that a member of a queue waits in."""
        owner = f":{member.partition(':')[0]}" if queue.startswith("poll.") else ""
        return self.of("due", queue + owner)

    def endpoint(self, lane: Lane) -> str:
        return self.of("slots", "ep", str(Lane(lane.backend, lane.endpoint)))

    def updates(self, owner: str, repository: str) -> str:
        return self.of("updates", owner, repository)

    def inbox(self, owner: str) -> str:
        return self.of("inbox", owner)


def batch_member(owner: str, repository: str, master: int, number: int) -> str:
    return f"{owner}:{repository}:{master}:{number}"


def master_member(owner: str, repository: str, master: int, attempt: int) -> str:
    return f"{owner}:{repository}:{master}@{attempt}"
