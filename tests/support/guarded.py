"""The service under the ACL file of `gangamon redis-acl`: each process is the role that it is to
be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import redis
from click.testing import CliRunner

from gangamon import redis_url, settings
from gangamon.cli import main
from gangamon.client import Client
from tests.support.redis import PrivateRedis
from tests.support.worker import OWNER, Service

ADMIN = "admin:root@"


def users(secrets: Path) -> str:
    """The ACL file for alice and bob, with a user ``admin`` who may all; passwords below
    ``secrets``."""
    run = ["redis-acl", "--owner", OWNER, "--owner", "bob", "--secrets", str(secrets)]
    ran = CliRunner().invoke(main, run, env={"GANGAMON_CONFIG": "/dev/null"})
    assert ran.exit_code == 0, ran.output
    return ran.stdout + "user admin on >root ~* &* +@all\n"


class Guarded(Service):
    """Each process is the role that it is to be: `gangamon redis-acl` for alice and bob."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "secrets"
        file = folder / "users.acl"
        file.write_text(users(self.secrets))
        (folder / "redis").mkdir(parents=True)
        server = PrivateRedis(folder / "redis", ADMIN, ["--aclfile", str(file)])
        super().__init__(folder, redis=server)

    def close(self) -> None:
        for entry in self.redis.connection().acl_log():
            print(entry["username"], entry["reason"], entry["context"], entry["object"])
        super().close()

    def as_(self, user: str) -> str:
        """The setting of a process that is this user."""
        return f"unix://{user}@{self.redis.socket}?password_file={self.secrets / user}"  # type: ignore[union-attr]

    def environment(self, user: str) -> Mapping[str, str]:
        """Of a program that is this user."""
        self.url = self.as_(user)
        return self._environment()

    def _launch(self, name: str) -> None:
        kind = name.partition("-")[0]
        roles = {"transfer": f"worker-{OWNER}", "merge": f"worker-{OWNER}", "poll": "poll"}
        self.url = self.as_(f"gangamon-{roles.get(kind, 'tick')}")
        super()._launch(name)

    def session(self, owner: str = OWNER) -> Client:
        url = self.as_(f"gangamon-client-{owner}")
        more = {"GANGAMON_REDIS_URL": url, "GANGAMON_OWNER": owner}
        state = self.folder / f"state-{owner}"
        return Client(settings.load({**self.variables(state), **more}))

    def connected(self, user: str) -> redis.Redis:
        address = redis_url.parse(self.as_(user))
        return redis.Redis(
            unix_socket_path=address.path,
            protocol=2,
            decode_responses=True,
            **address.credentials(),
        )
