"""The configuration of the private HTCondor, but for its places: on loopback, small, and quick."""

from __future__ import annotations

#: Of its daemons and its clients; of its clients outside; of its daemons.
COMMON = {
    "CONDOR_HOST": "127.0.0.1",
    "NETWORK_INTERFACE": "127.0.0.1",
    "BIND_ALL_INTERFACES": "False",
    "UID_DOMAIN": "gangamon.test",
    "FILESYSTEM_DOMAIN": "gangamon.test",
    "SEC_DEFAULT_ENCRYPTION": "OPTIONAL",
    "SEC_DEFAULT_INTEGRITY": "OPTIONAL",
}
CLIENT = {
    "SEC_CLIENT_AUTHENTICATION_METHODS": "CLAIMTOBE",
    "SEC_DEFAULT_AUTHENTICATION_METHODS": "CLAIMTOBE",
}
SERVER = {
    "DAEMON_LIST": "MASTER SHARED_PORT COLLECTOR NEGOTIATOR SCHEDD STARTD",
    "RELEASE_DIR": "/usr",
    "LIB": "/usr/lib/condor",
    "LIBEXEC": "/usr/libexec/condor",
    "BIN": "/usr/bin",
    "SBIN": "/usr/sbin",
    "TRUST_UID_DOMAIN": "True",
    "FULL_HOSTNAME": "localhost",
    "SEC_DEFAULT_AUTHENTICATION": "REQUIRED",
    "SEC_DEFAULT_AUTHENTICATION_METHODS": "FS, CLAIMTOBE",
    "SEC_CLIENT_AUTHENTICATION_METHODS": "FS, CLAIMTOBE",
    **dict.fromkeys(
        (f"ALLOW_{who}" for who in ("READ", "WRITE", "DAEMON", "NEGOTIATOR", "CLIENT")), "*"
    ),
    "ALLOW_ADMINISTRATOR": "*",
    "MEMORY": "32000",
    "SLOT_TYPE_1": "cpus=1, memory=512",
    "SLOT_TYPE_1_PARTITIONABLE": "False",
    "START": "True",
    **dict.fromkeys(("SUSPEND", "PREEMPT", "KILL", "WANT_SUSPEND", "WANT_VACATE"), "False"),
    "CONTINUE": "True",
    # As fast as it goes.
    "NEGOTIATOR_INTERVAL": "2",
    "NEGOTIATOR_CYCLE_DELAY": "1",
    "NEGOTIATOR_MIN_INTERVAL": "1",
    "SCHEDD_INTERVAL": "2",
    "SCHEDD_MIN_INTERVAL": "1",
    "UPDATE_INTERVAL": "5",
    "PERIODIC_EXPR_INTERVAL": "2",
    "STARTER_INITIAL_UPDATE_INTERVAL": "1",
    "STARTER_UPDATE_INTERVAL": "2",
    "MASTER_BACKOFF_CONSTANT": "2",
    "JOB_START_COUNT": "100",
    "JOB_START_DELAY": "0",
    "MAX_JOBS_PER_OWNER": "100000",
    "MAX_JOBS_SUBMITTED": "100000",
    # The root of a chroot is no mount point.
    "MOUNT_UNDER_SCRATCH": "",
    "MOUNT_PRIVATE_DEV_SHM": "False",
    "DISCARD_SESSION_KEYRING_ON_STARTUP": "False",
    "BASE_CGROUP": "",
    "CREATE_CGROUP_WITHOUT_ROOT": "False",
    **dict.fromkeys(("DOCKER", "SINGULARITY", "STARTD_CRON_JOBLIST", "SCHEDD_CRON_JOBLIST"), ""),
    "RunBenchmarks": "False",
}
