"""Settings: where each value comes from, and every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon import settings
from gangamon.errors import BadSettings


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment without a config file."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "none")}


def faults(environ: dict[str, str], path: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as caught:
        settings.load(environ, path)
    return caught.value.faults


def test_defaults_hold_without_a_file(nowhere: dict[str, str]) -> None:
    """Nothing needs to be configured for one user on one machine."""
    found = settings.load(nowhere)
    assert (found.redis_url, found.flower_port, found.flower_address) == ("", 0, "127.0.0.1")
    assert found.tick_seconds == 1.0
    assert found.source == ""


def test_the_environment_wins_over_the_file_over_the_default(tmp_path: Path) -> None:
    """Each key by itself: one from each source."""
    path = write(tmp_path / "gangamon.toml", "[workers]\npoll_threads = 3\ntransfer_threads = 4\n")
    found = settings.load({"GANGAMON_WORKERS_POLL_THREADS": "5"}, path)
    assert found.poll_threads == 5
    assert found.transfer_threads == 4
    assert found.merge_processes == 1
    assert found.source == str(path)


@pytest.mark.parametrize("how", ["GANGAMON_CONFIG", "XDG_CONFIG_HOME"])
def test_the_file_is_found(tmp_path: Path, how: str) -> None:
    """By its name in GANGAMON_CONFIG, else in the XDG config home."""
    (tmp_path / "gangamon").mkdir()
    path = write(tmp_path / "gangamon" / "gangamon.toml", 'log_level = "debug"\n')
    environ = {how: str(path if how == "GANGAMON_CONFIG" else tmp_path)}
    assert settings.load(environ).log_level == "DEBUG"


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    """Each line names the key, the value and what is accepted, from both sources."""
    path = write(
        tmp_path / "gangamon.toml",
        'colour = "red"\n[redis]\nurl = "http://x"\n[workers]\npoll_threads = 0\n'
        "[flower]\nport = 70000\nenabled = 1\n"
        "[backends.Local]\nfloor = -1\nspeed = 3\n[backends]\nSlurm = 1\n",
    )
    environ = {"GANGAMON_FLOWER_PORTT": "1", "GANGAMON_LOG_LEVEL": "loud"}
    found = faults(environ, path)
    for wanted in (
        "colour: unknown key",
        "redis.url: got 'http://x'; accepted:",
        "workers.poll_threads: got 0; accepted: 1 to 1024",
        "flower.port: got 70000",
        "flower.enabled: got 1",
        "backends.Local.floor: got -1",
        "backends.Local.speed: unknown key",
        "backends.Slurm: got 1",
        "GANGAMON_FLOWER_PORTT: unknown",
        "GANGAMON_LOG_LEVEL: got 'loud'",
    ):
        assert sum(wanted in fault for fault in found) == 1, wanted
    assert len(found) == 10


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GANGAMON_STATE_DIR", "relative/path"),
        ("GANGAMON_OWNER", "a b"),
        ("GANGAMON_ROOTS", "/a:b"),
        ("GANGAMON_FLOWER_PORT", "x"),
        ("GANGAMON_FLOWER_ENABLED", "maybe"),
        ("GANGAMON_WORKERS_TICK_SECONDS", "0"),
        ("GANGAMON_WORKERS_TICK_SECONDS", "nan"),
        ("GANGAMON_REDIS_PREFIX", "a:b"),
    ],
)
def test_a_bad_value_is_named(nowhere: dict[str, str], variable: str, value: str) -> None:
    """The variable, its value and what is accepted."""
    (fault,) = faults({**nowhere, variable: value})
    assert fault.startswith(f"{variable}: got {value!r}; accepted: ")


def test_the_variables_of_every_process_are_no_faults(nowhere: dict[str, str]) -> None:
    """GANGAMON_INSTANCE marks our processes; a variable of somebody else is not looked at."""
    settings.load({**nowhere, "GANGAMON_INSTANCE": "x", "GANGAMONITOR": "y", "GANGA": "z"})


@pytest.mark.parametrize("text", ["[redis\n", "a = \n", "\ufffd = 1"])
def test_a_file_that_is_not_toml_is_said(tmp_path: Path, text: str) -> None:
    """One line with the file's name."""
    path = write(tmp_path / "gangamon.toml", text)
    (fault,) = faults({}, path)
    assert fault.startswith(f"{path}: not TOML: ")


def test_bytes_that_are_not_text_are_said(tmp_path: Path) -> None:
    """A file in another encoding gives one line as well."""
    path = tmp_path / "gangamon.toml"
    path.write_bytes(b"\xff\xfe\x00")
    (fault,) = faults({}, path)
    assert "not TOML" in fault


def test_a_named_file_that_is_missing_is_said(tmp_path: Path) -> None:
    """A name that was given on purpose is not passed over."""
    (fault,) = faults({"GANGAMON_CONFIG": str(tmp_path / "none.toml")})
    assert "cannot be read" in fault


def test_a_value_may_come_from_a_file(tmp_path: Path, nowhere: dict[str, str]) -> None:
    """As secrets are mounted: without the end of the line, over what the config file says."""
    path = write(tmp_path / "gangamon.toml", '[redis]\nurl = "redis://other:6379/0"\n')
    secret = write(tmp_path / "redis-url", "redis://:s3cret@redis:6379/0\n")
    found = settings.load({"GANGAMON_REDIS_URL_FILE": str(secret)}, path)
    assert found.redis_url == "redis://:s3cret@redis:6379/0"
    threads = write(tmp_path / "threads", "3\r\n")
    assert (
        settings.load({**nowhere, "GANGAMON_WORKERS_POLL_THREADS_FILE": str(threads)}).poll_threads
        == 3
    )


def test_what_a_secret_file_holds_is_in_no_message(tmp_path: Path, nowhere: dict[str, str]) -> None:
    secret = write(tmp_path / "redis-url", "http://:s3cret@redis\n")
    (fault,) = faults({**nowhere, "GANGAMON_REDIS_URL_FILE": str(secret)})
    assert fault.startswith("GANGAMON_REDIS_URL_FILE: ")
    assert "accepted: " in fault
    assert "s3cret" not in fault


def test_a_secret_file_that_is_no_good_is_said(tmp_path: Path, nowhere: dict[str, str]) -> None:
    """Missing, not text, of no key; and two values for one key are not chosen between."""
    (fault,) = faults({**nowhere, "GANGAMON_REDIS_URL_FILE": str(tmp_path / "none")})
    assert fault.startswith(f"GANGAMON_REDIS_URL_FILE: got '{tmp_path}/none': No such file")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    (fault,) = faults({**nowhere, "GANGAMON_REDIS_URL_FILE": str(binary)})
    assert "not text" in fault
    (fault,) = faults({**nowhere, "GANGAMON_REDIS_URLL_FILE": "x"})
    assert fault.startswith("GANGAMON_REDIS_URLL_FILE: unknown; accepted: ")
    two = {"GANGAMON_OWNER": "ada", "GANGAMON_OWNER_FILE": str(binary)}
    (fault,) = faults({**nowhere, **two})
    assert "GANGAMON_OWNER is set, too" in fault
