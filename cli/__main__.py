"""The process of the `avatars` command, also as `python -m cli`: its settings precede most imports."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys

from models.environment.child_environment import NO_TELEMETRY

GC_THRESHOLDS = (50_000, 20, 20)
"""For gc.set_threshold: with the default thresholds, imports and batches spend a tenth of their time on it."""
PRIVATE_UMASK = 0o077
"""Only this user can read what the commands and their child processes write: ledger, Prefect's database, logs."""
_READERS = (["list"], ["show"])
"""Commands that only read the ledger, and start no process that would inherit the variable below."""


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(*GC_THRESHOLDS)
    os.umask(PRIVATE_UMASK)
    _forbid_core_dumps()
    for name, value in NO_TELEMETRY.items():
        os.environ.setdefault(name, value)
    if sys.argv[1:2] in _READERS:
        gc.disable()  # one collection would take a twentieth of the CPU time, and they end soon
        # The search for pydantic plugins reads the metadata of all installed packages: a tenth of a second of CPU.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from cli.main import run
    from services.prefect_api.redaction_hooks import install_redaction

    install_redaction()
    for number in (signal.SIGTERM, signal.SIGHUP):  # both end a command as Ctrl-C does
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    code = run(sys.argv[1:])
    gc.freeze()  # skip the collection at exit, which would take half a second; the system frees the memory
    sys.exit(code)


def _forbid_core_dumps() -> None:
    """Let no crash, for example of a video decoder, write the memory with the API key to a file.

    The child processes inherit the limit. systemd-coredump and apport honour it too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    main()
