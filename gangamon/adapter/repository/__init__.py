"""How what the adapter changes becomes durable in Ganga's local XML repository, in small pieces."""
