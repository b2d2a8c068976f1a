"""Flower shows Celery's tasks; it changes nothing, and keeps nothing across a restart.

Options given on the command line win over this file, this file over FLOWER_* variables, so the two
variables that count are read here.
"""

import os

address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")

# user:password, more of them after commas.
basic_auth = [pair for pair in os.environ.get("FLOWER_BASIC_AUTH", "").split(",") if pair]

if not basic_auth and address not in ("127.0.0.1", "::1", "localhost"):
    raise SystemExit(f"flower: set FLOWER_BASIC_AUTH=user:password to listen on {address}")

# With a login alone everyone who has it could revoke tasks and stop workers.
read_only = True

# About 110 MB. Flower keeps tasks in memory; what happened to a job is gangamon's to say.
max_tasks = 20_000
persistent = False

# Workers that came and went under other names, after restarts.
purge_offline_workers = 300
