"""gangamon's plugin for TinyQ."""
