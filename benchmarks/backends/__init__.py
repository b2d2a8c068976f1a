"""One poll of a real batch system by gangamon beside the bare command."""
