"""What people see of the way to Redis."""

from __future__ import annotations

import pytest

from gangamon.errors import StoreUnavailable
from gangamon.store.redis import RedisStore


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_password_is_in_no_message(scheme: str) -> None:
    """An error names host and port of Redis, and neither user nor password."""
    store = RedisStore(f"{scheme}://alice:s3cr@t@127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable) as caught:
        store.epoch()
    assert "127.0.0.1:1/0" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    assert "alice" not in str(caught.value)
