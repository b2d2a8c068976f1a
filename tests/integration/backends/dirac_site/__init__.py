"""What runs in the environment of a real DIRAC: its services, and the hand that moves its jobs."""
