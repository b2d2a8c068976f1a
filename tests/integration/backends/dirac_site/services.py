"""Several of DIRAC's services in one process, on loopback: ``services.py NAME... --cfg FILE``.

Run by the Python of DIRAC's environment. It is ``dirac-service``, but that it listens on loopback:
DIRAC's own listens on all addresses, and has no option for another.
"""

import socket

from DIRAC.Core.scripts.dirac_service import main
from M2Crypto import SSL

_bind = SSL.Connection.bind


def _loopback(connection, address):
    six = connection.socket.family == socket.AF_INET6
    return _bind(connection, ("::ffff:127.0.0.1" if six else "127.0.0.1", address[1]))


SSL.Connection.bind = _loopback

if __name__ == "__main__":
    main()
