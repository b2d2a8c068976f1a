"""``monitor``: what the user sees of gangamon at Ganga's prompt."""
