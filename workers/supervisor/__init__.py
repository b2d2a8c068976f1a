"""``gangamon up`` and its kin: the processes of one instance, kept alive by supervisord."""
