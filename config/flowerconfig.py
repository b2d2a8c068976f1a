"""Flower shows Celery's tasks; it changes nothing, and keeps nothing across a restart.

Options given on the command line win over this file, this file over FLOWER_* variables, so the two
variables that count, and FLOWER_BASIC_AUTH_FILE, are read here.
"""

import os
from pathlib import Path

address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")

# user:password, more of them after commas; or a file that holds them.
_given = os.environ.get("FLOWER_BASIC_AUTH", "")
if _file := os.environ.pop("FLOWER_BASIC_AUTH_FILE", ""):  # Flower stops at one it does not know
    _given = Path(_file).read_text(encoding="utf-8").strip()
basic_auth = [pair for pair in _given.split(",") if pair]

if not basic_auth and address not in ("127.0.0.1", "::1", "localhost"):
    raise SystemExit(
        f"flower: set FLOWER_BASIC_AUTH=user:password, or ..._FILE, to listen on {address}"
    )

# With a login alone everyone who has it could revoke tasks and stop workers.
read_only = True

# About 110 MB. Flower keeps tasks in memory; what happened to a job is gangamon's to say.
max_tasks = 20_000
persistent = False

# Workers that came and went under other names, after restarts.
purge_offline_workers = 300
