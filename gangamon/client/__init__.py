"""What sessions, command lines and pages use: commands in, updates and views out."""

from gangamon.client.facade import Client, Follower
from gangamon.client.updates import Ack, JobUpdate, MasterFinal, MasterView, Update

__all__ = ["Ack", "Client", "Follower", "JobUpdate", "MasterFinal", "MasterView", "Update"]
