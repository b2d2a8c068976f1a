"""Files in S3 buckets, by boto3: ``s3://BUCKET/KEY``, or ``s3+https://HOST[:PORT]/BUCKET/KEY`` for
a service of one's own (``s3+http`` on this host only).

Who we are: ``credential`` is the path of a file as of AWS (``[default]``, or PATH#PROFILE); without
one boto3 looks where it always does, of the worker. What is gone on with is named by ``IfMatch``.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from gangamon.errors import (
    BackendUnreachable,
    BadInput,
    CredentialMissing,
    RateLimited,
    TransientError,
)
from gangamon.fetchers import storage
from gangamon.fetchers.storage.landing import Facts, landing
from gangamon.protocols import Source

#: Seconds: until a connection stands, between two pieces of an answer.
CONNECT, READ = 10, 60

_CHUNK = 1 << 20
_MD5 = re.compile("[0-9a-f]{32}")
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403")
_MISSING = ("NoSuchKey", "NoSuchBucket", "404", "PreconditionFailed", "412")


class S3Storage:
    """See Storage."""

    schemes = ("s3", "s3+https", "s3+http")

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def bring(self, source: Source, path: str) -> str:
        service, bucket, key = _parts(source.url)
        shown = storage.shown(source.url)
        try:
            client = self._client(service, source.credential)
            whole = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            facts = _facts(whole)
            with landing(path, facts) as place:
                body = whole["Body"]
                if place.at:
                    body.close()
                    if place.at == facts.size:
                        body = None
                    else:
                        body = client.get_object(
                            Bucket=bucket,
                            Key=key,
                            Range=f"bytes={place.at}-",
                            IfMatch=facts.version,
                        )["Body"]
                while body is not None and (chunk := body.read(_CHUNK)):
                    place.write(chunk)
            return place.checksum
        except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
            raise CredentialMissing(f"{shown}: {error}") from error
        except ClientError as error:
            raise _refusal(shown, error) from error
        except BotoCoreError as error:
            raise BackendUnreachable(f"{shown}: {error}") from error

    def _client(self, service: str, given: str) -> Any:
        with self._lock:
            if (service, given) not in self._clients:
                session = botocore.session.Session()
                if given:
                    file, _, profile = given.partition("#")
                    session.set_config_variable("credentials_file", file)
                    session.set_config_variable("profile", profile or "default")
                self._clients[service, given] = boto3.Session(botocore_session=session).client(
                    "s3",
                    endpoint_url=service or None,
                    # Services of one's own have no regions, and want some name.
                    region_name=(session.get_config_variable("region") or "us-east-1"),
                    config=Config(
                        connect_timeout=CONNECT,
                        read_timeout=READ,
                        retries={"total_max_attempts": 2},
                        max_pool_connections=64,
                        s3={"addressing_style": "path"} if service else None,
                    ),
                )
            return self._clients[service, given]


def _parts(url: str) -> tuple[str, str, str]:
    """(URL of the service, '' for AWS; bucket; key). BadInput."""
    parts = urlsplit(url)
    service, bucket, key = "", parts.netloc, unquote(parts.path.lstrip("/"))
    if parts.scheme != "s3":
        kind = parts.scheme.removeprefix("s3+")
        if kind == "http" and not _here(parts.hostname or ""):
            raise BadInput([f"location {storage.shown(url)}: accepted: s3+https for other hosts"])
        service = f"{kind}://{parts.netloc}"
        bucket, _, key = key.partition("/")
    if not bucket or not key:
        raise BadInput([f"location {storage.shown(url)}: accepted: with bucket and key"])
    return service, bucket, key


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _facts(said: Mapping[str, Any]) -> Facts:
    """The ETag of what was put at once, and not encrypted by a key of one's own, is its MD5."""
    tag = str(said.get("ETag") or "")
    plain = tag.strip('"')
    checksums: dict[str, str] = {}
    if said.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        for name, kind in (
            ("ChecksumCRC32", "crc32"),
            ("ChecksumSHA1", "sha-1"),
            ("ChecksumSHA256", "sha-256"),
        ):
            if value := said.get(name):
                checksums[kind] = base64.b64decode(value).hex()
    if (
        _MD5.fullmatch(plain)
        and not said.get("SSECustomerAlgorithm")
        and not said.get("SSEKMSKeyId")
    ):
        checksums["md5"] = plain
    return Facts(int(said["ContentLength"]), tag, checksums)


def _refusal(shown: str, error: ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{shown}: {code or status}: {error.response.get('Error', {}).get('Message', '')}"
    if code in _MISSING or status == 404:
        return TransientError(f"{shown}: not there, or changed ({code or status})")
    if code in _REFUSED or status in (401, 403):
        return CredentialMissing(said)
    return RateLimited(said) if status in (429, 503) else BackendUnreachable(said)
