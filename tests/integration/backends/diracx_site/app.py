"""DiracX's own routers, on sqlite: for ``uvicorn --factory app:create_app``.

Run by the Python of DiracX's environment. What is not DiracX's: JobParametersDB, which is on
OpenSearch, is diracx-testing's on sqlite; and tokens of the "legacy exchange", for which no
identity provider is needed, are made as those of a login: each refresh token is good once.
"""

# mypy: ignore-errors

from functools import partial

from diracx.db.os.utils import BaseOSDB
from diracx.logic.auth import token
from diracx.testing.mock_osdb import fake_available_osdb_implementations

BaseOSDB.available_implementations = partial(
    fake_available_osdb_implementations,
    real_available_implementations=BaseOSDB.available_implementations,
)

exchange = token.exchange_token


async def as_a_login(*given, legacy_exchange=False, **named):
    return await exchange(*given, **named)


token.exchange_token = as_a_login


def create_app():
    from diracx.routers.factory import create_app

    return create_app()
