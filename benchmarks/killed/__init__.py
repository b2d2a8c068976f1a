"""A Ganga session under kill -9 while its subjobs change."""
