"""What a Prometheus on loopback says (prometheus.io/docs/prometheus/latest/querying/api)."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready(self) -> bool:
        """It listens before its storage is open."""
        try:
            with self._opener.open(f"{self._url}/-/ready", timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **fields: str) -> dict[str, Any]:
        """The data of an answer; an error of a query raises."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        with self._opener.open(url, timeout=60) as answer:
            body = json.load(answer)
        assert body["status"] == "success"
        return dict(body["data"])

    def series(self, query: str) -> list[dict[str, Any]]:
        """Of an instant query."""
        return list(self.ask("query", query=query)["result"])

    def value(self, query: str) -> float | None:
        """Of an instant query with one result; None while there is none."""
        found = self.series(query)
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def alerts(self) -> dict[str, str]:
        """Alert -> its state: pending or firing."""
        return {a["labels"]["alertname"]: a["state"] for a in self.ask("alerts")["alerts"]}


def asked(expression: str) -> str:
    """A dashboard's expression as Grafana would send it, with every variable at "all"."""
    found = expression.replace("$__rate_interval", "1m")
    found = found.replace("$backend", ".*").replace("$endpoint", ".*")
    assert "$" not in found, expression
    return found
