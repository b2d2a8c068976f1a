"""The way to the service: its start, the link, the talk, and the way back to Ganga's own."""
