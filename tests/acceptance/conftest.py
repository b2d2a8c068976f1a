"""What takes minutes to build is collected where it is asked for (``make compose-test``)."""

import os

collect_ignore = [] if os.environ.get("COMPOSE_TEST") else ["test_compose_stack.py"]
