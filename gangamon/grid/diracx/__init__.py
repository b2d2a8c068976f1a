"""DiracX by its REST interface: ``tokens`` keeps the user's, ``service`` asks with them."""

from gangamon.grid.diracx.service import Service
from gangamon.grid.diracx.times import seconds

__all__ = ["Service", "seconds"]
