"""Beside Ganga's own monitoring: compared with it, and nothing applied."""
