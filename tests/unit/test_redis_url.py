"""Where Redis is: every way to say it, and what is wrong with what is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon import redis_url, settings
from gangamon.errors import BadSettings

SENTINEL = "sentinel://me:p%40ss@h1:26379,h2,[::1]:5/3?master=gm"


def test_sentinels_are_one_setting() -> None:
    """Hosts, database, login and the master's name; as kombu wants it too."""
    found = redis_url.parse(SENTINEL)
    assert found.hosts == (("h1", 26379), ("h2", 26379), ("::1", 5))
    assert (found.db, found.master, found.username, found.password()) == (3, "gm", "me", "p@ss")
    assert found.broker() == (
        "sentinel://me:p%40ss@h1:26379/3;sentinel://me:p%40ss@h2:26379/3;"
        "sentinel://me:p%40ss@[::1]:5/3"
    )
    assert found.transport_options()["master_name"] == "gm"
    assert redis_url.parse("redis://h/0").transport_options() == {}


def test_a_password_is_read_from_its_file(tmp_path: Path) -> None:
    """When it is wanted: the setting names the file only."""
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    found = redis_url.parse(f"unix://worker@/run/r.sock?db=2&password_file={secret}")
    assert found.credentials() == {"username": "worker", "password": "first"}
    secret.write_text("second\n")
    assert found.broker() == "redis+socket://worker:second@/run/r.sock?virtual_host=2"
    only = redis_url.parse(f"redis://h/0?password_file={secret}")
    assert only.broker() == "redis://:second@h:6379/0"


def test_tls_always_verifies_the_other_side(tmp_path: Path) -> None:
    """With the files given, and none of these options without TLS."""
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    query = f"ssl_ca_certs={tmp_path}/ca&ssl_certfile={tmp_path}/cert&ssl_keyfile={tmp_path}/key"
    found = redis_url.parse(f"rediss://h:1/0?{query}")
    assert found.tls()["ssl_cert_reqs"] == "required"
    assert found.tls()["ssl_check_hostname"] is True
    assert found.tls()["ssl_keyfile"] == f"{tmp_path}/key"
    assert redis_url.parse("redis://h:1/0").tls() == {}
    sentinels = redis_url.parse(f"sentinels://h:1/0?master=m&{query}")
    assert sentinels.transport_options()["sentinel_kwargs"]["ssl"] is True
    assert sentinels.broker_tls() is not None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("http://h/0", "accepted: '' (embedded) or unix://"),
        ("sentinel://h1,h2/0", "sentinel://host:26379,.../0?master=NAME"),
        ("redis://h1,h2/0", "sentinel://h1,h2/0?master=NAME"),
        ("redis://h:x/0", "'h:x' is no host:port"),
        ("redis://h/x", "the number of the database"),
        ("redis://h/0?master=m", "master= is unknown"),
        ("redis://h/0?ssl_ca_certs=/etc", "ssl_ca_certs= is unknown"),
        ("rediss://h/0?ssl_ca_certs=/no/such/file", "an absolute path that can be read"),
        ("redis://h/0?password_file=relative", "password_file=relative"),
        ("unix://relative", "the absolute path of a socket"),
    ],
)
def test_a_fault_says_the_key_and_the_fix(text: str, what: str) -> None:
    with pytest.raises(BadSettings) as caught:
        settings.load({"GANGAMON_REDIS_URL": text, "XDG_CONFIG_HOME": "/none"})
    (fault,) = caught.value.faults
    assert fault.startswith(f"GANGAMON_REDIS_URL: got '{text}'")
    assert what in fault


def test_a_fault_does_not_tell_the_password() -> None:
    with pytest.raises(BadSettings) as caught:
        settings.load({"GANGAMON_REDIS_URL": "redis://a:s3cret@h/x", "XDG_CONFIG_HOME": "/none"})
    assert "s3cret" not in str(caught.value)
