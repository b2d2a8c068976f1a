"""``prepare.py FOLDER URL STORE_URL``: configuration, keys and databases of a DiracX in a folder;
prints the environment of its processes as JSON. Run by the Python of DiracX's environment."""

# mypy: ignore-errors

import asyncio
import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import uuid
from pathlib import Path

import app  # noqa: F401 (its stand-in for OpenSearch)
from cryptography.fernet import Fernet
from diracx.core.config import Config
from diracx.core.extensions import DiracEntryPoint, select_from_extension
from diracx.db.__main__ import init_sql
from diracx.db.os.utils import BaseOSDB
from joserfc.jwk import KeySet, OKPKey

USERS = {"tester": "b824d4dc-1f9d-4ee8-8df5-c0ae55d46041", "other": str(uuid.uuid4())}
DATABASES = ("JobDB", "JobLoggingDB", "PilotAgentsDB", "SandboxMetadataDB", "TaskQueueDB")


def configuration():
    def group(*properties):
        return {"Properties": ["NormalUser", *properties], "Users": list(USERS.values())}

    databases = {name: {"DBName": "x", "Host": "x", "Port": 9999} for name in DATABASES}
    databases["JobDB"]["MaxRescheduling"] = 3
    return {
        "DIRAC": {},
        "Registry": {
            "gm": {
                "DefaultGroup": "gm_user",
                "DefaultProxyLifeTime": 432000,
                "DefaultStorageQuota": 2000,
                "IdP": {"URL": "https://idp.invalid", "ClientID": "test"},
                "Users": {
                    sub: {"PreferedUsername": name, "Email": None} for name, sub in USERS.items()
                },
                "Groups": {"gm_user": group(), "gm_admin": group("JobAdministrator")},
            }
        },
        "Operations": {"Defaults": {}},
        "Systems": {"WorkloadManagement": {"Databases": databases}},
    }


def environment(folder, url, store):
    key = OKPKey.generate_key(
        "Ed25519", parameters={"key_ops": ["sign", "verify"], "alg": "Ed25519", "kid": "test"}
    )
    raw = secrets.token_bytes(32)
    bucket = {"endpoint_url": store, "aws_access_key_id": "t", "aws_secret_access_key": "t"}
    found = {
        "DIRACX_CONFIG_BACKEND_URL": f"git+file://{folder}/cs",
        "DIRACX_SERVICE_AUTH_TOKEN_ISSUER": url,
        "DIRACX_SERVICE_AUTH_STATE_KEY": Fernet.generate_key().decode(),
        "DIRACX_SERVICE_AUTH_TOKEN_KEYSTORE": json.dumps(KeySet([key]).as_dict(private=True)),
        "DIRACX_SERVICE_AUTH_ACCESS_TOKEN_EXPIRE_MINUTES": "120",
        "DIRACX_SERVICE_AUTH_ALLOWED_REDIRECTS": json.dumps([f"{url}/docs/oauth2-redirect"]),
        "DIRACX_LEGACY_EXCHANGE_HASHED_API_KEY": hashlib.sha256(raw).hexdigest(),
        "DIRACX_SANDBOX_STORE_BUCKET_NAME": "sandboxes",
        "DIRACX_SANDBOX_STORE_AUTO_CREATE_BUCKET": "true",
        "DIRACX_SANDBOX_STORE_S3_CLIENT_KWARGS": json.dumps(bucket),
        "API_KEY": f"diracx:legacy:{base64.urlsafe_b64encode(raw).decode()}",
    }
    for point in select_from_extension(group=DiracEntryPoint.SQL_DB):
        found[f"DIRACX_DB_URL_{point.name.upper()}"] = _sqlite(folder, point.name)
    for point in select_from_extension(group=DiracEntryPoint.OS_DB):
        given = {"sqlalchemy_dsn": _sqlite(folder, point.name)}
        found[f"DIRACX_OS_DB_{point.name.upper()}"] = json.dumps(given)
    return found


def _sqlite(folder, name):
    return f"sqlite+aiosqlite:///{folder}/db/{name.lower()}.db"


async def tables():
    await init_sql()
    for name, given in BaseOSDB.available_urls().items():
        database = BaseOSDB.available_implementations(name)[0](given)
        async with database.client_context(), database._sql_db.engine.begin() as connection:
            await connection.run_sync(database._sql_db.metadata.create_all)


def main(folder, url, store):
    place = Path(folder, "cs")
    place.mkdir()
    Path(folder, "db").mkdir()
    text = Config.model_validate(configuration()).model_dump_json(by_alias=True)
    (place / "default.yml").write_text(text)
    me = ("-c", "user.name=t", "-c", "user.email=t@t")
    for words in (("init", "-q", "-b", "master"), ("add", "."), (*me, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *words], cwd=place, check=True, stdout=sys.stderr)
    found = environment(folder, url, store)
    os.environ.update(found)
    asyncio.run(tables())
    print(json.dumps(found))


main(*sys.argv[1:])
