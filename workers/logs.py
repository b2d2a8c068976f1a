"""How log lines look: for people, or a JSON object a line; with what they are about."""

from __future__ import annotations

import json
import logging
import time

from gangamon.services.trail import trail

FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


class People(logging.Formatter):
    """``TIME LEVEL PROCESS LOGGER: MESSAGE [job=42.7 claim=...]``. One line: what backends say is
    quoted in messages, and neither begins a line of its own nor obeys a terminal."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = "".join(map(_shown, record.message))
        about = " ".join(f"{name}={value}" for name, value in trail().items())
        line = super().formatMessage(record)
        return f"{line} [{''.join(map(_shown, about))}]" if about else line


class Json(logging.Formatter):
    """``time`` (UTC, RFC 3339), ``level``, ``logger``, ``process``, ``message``, ``exception`` if
    there is one, and the fields of ``services.trail``."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "process": f"{record.processName}:{record.process}",
            "message": record.getMessage(),
            **trail(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def formatter(name: str) -> logging.Formatter:
    """Of the setting ``log_format``."""
    return Json() if name == "json" else People()


def _shown(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
