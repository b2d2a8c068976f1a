"""The service under kill -9, half-open connections and a frozen Redis, for minutes on end."""
