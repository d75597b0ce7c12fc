"""`avatars up`: run Prefect server, deployments, runner and webhook receiver in the foreground."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import print_line, print_status
from cli.options import Port, TrainingSeconds
from models.argil.webhook import RECEIVER_PATH
from models.environment.certificates import require_usable_certificates
from models.environment.child_environment import LEDGER, SERVICE, TOOL, InheritedVariables, python_command
from models.environment.private_files import replace_file
from models.errors import AvatarsError
from models.exit_codes import EXIT_OK
from models.settings import Settings
from models.text.url_redaction import redact_url

if TYPE_CHECKING:
    from cli.simulated_environment import SimulatedEnvironment
    from deployments.embedded.stack import EmbeddedStack

DEFAULT_PORT = 4200
HEALTH_CHECK_SECONDS = 1.0
SETTINGS_SCRIPT = "settings.sh"
SHOWN_SAMPLES = (
    ("sample video", "dataset.mp4"),
    ("sample video", "consent.mp4"),
    ("sample image", "portrait.png"),
    ("sample voice", "voice.m4a"),
)


def up(
    *,
    simulate: bool = False,
    port: Port = DEFAULT_PORT,
    training_seconds: TrainingSeconds = 30.0,
    data_dir: Path | None = None,
) -> int:
    """Run the whole service on this machine until Ctrl-C, SIGTERM or a closed terminal.

    Args:
        simulate: Use a simulated Argil API and sample videos.
        port: Loopback port of the Prefect server, which is started if no Prefect API is configured, and always
            with --simulate. 0 selects a free port.
        training_seconds: Duration of a simulated training.
        data_dir: Folder for the ledger and the Prefect database of --simulate. The default is a temporary folder.

    """
    stop_requested = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, lambda *_: stop_requested.set())
    if simulate:
        from deployments.embedded.prefect_server import PORT_HINT, bind_port

        # The server binds it itself; here a port in use is reported before the simulator and its videos are made.
        bind_port(port, hint=PORT_HINT).close()
    with contextlib.ExitStack() as stack:
        simulated = stack.enter_context(_simulated_service(training_seconds, data_dir)) if simulate else None
        settings = Settings.load()
        require_usable_certificates()
        from deployments.embedded.stack import embedded_stack

        if code := _run_module(LEDGER, "cli", "db", "upgrade"):
            return code
        running = stack.enter_context(embedded_stack(print_status, port, settings))
        if simulate and running.receiver:
            register = ("cli", "webhook", "register", "--url", running.receiver.url)
            if code := _run_module(SERVICE, *register):
                return code
        _print_addresses(running, settings)
        if simulated:
            _print_simulator(simulated, redact_url(running.api_url))
        print_status("ready; press Ctrl-C to stop")
        while not stop_requested.wait(HEALTH_CHECK_SECONDS):
            running.check_processes()
        print_status("stopping")
    return EXIT_OK


@contextlib.contextmanager
def _simulated_service(training_seconds: float, data_dir: Path | None) -> Iterator[SimulatedEnvironment]:
    """Run the simulator with sample videos, and point this process and its children to it.

    A configured ledger, Prefect API or webhook token is not used. The simulator does not have the avatars of that
    ledger, so reconciliation would set them to VANISHED.
    """
    from cli.simulated_environment import simulated_environment  # the simulator's server would stay in memory

    with simulated_environment(training_seconds=training_seconds, data_dir=data_dir) as simulated:
        simulated.apply(keeps_behaviour=True)
        os.environ["AVATARS_WEBHOOK_TOKEN"] = secrets.token_urlsafe()
        if code := _run_module(TOOL, "simulator.sample_videos", str(simulated.videos)):
            raise AvatarsError(f"cannot create the sample videos (exit code {code})", hint="see the output above")
        yield simulated


def _run_module(inherited: InheritedVariables, *args: str) -> int:
    """Run a module in a child process and return its exit code.

    Its imports do not stay in the memory of this long-running process.
    """
    return subprocess.run(  # noqa: S603  # our own interpreter and module
        python_command(*args),
        env=inherited.select(os.environ),
        stdout=sys.stderr.fileno(),
        check=False,
    ).returncode


def _print_addresses(running: EmbeddedStack, settings: Settings) -> None:
    api = redact_url(running.api_url)
    lines = {"Prefect UI": api.removesuffix("/api"), "Prefect API": api, "Argil": settings.argil_api_url}
    lines["ledger"] = redact_url(settings.avatars_database_url.get_secret_value())
    if running.receiver:
        lines["webhooks"] = f"{running.receiver.url}{RECEIVER_PATH}…"
    for label, value in lines.items():
        print_line(f"{label:14}{value}")


def _print_simulator(simulated: SimulatedEnvironment, api_url: str) -> None:
    """Print some sample recordings, the faults, and a script that connects another shell to this service."""
    for label, name in SHOWN_SAMPLES:
        print_line(f"{label:14}{simulated.media.url(name)}")
    script = simulated.data / SETTINGS_SCRIPT
    settings = {**simulated.settings(keeps_behaviour=True), "PREFECT_API_URL": api_url}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
    replace_file(script, "".join(lines).encode())
    print_line(f"{'other shell':14}. {shlex.quote(str(script))}")
    print_line(f"{'faults':14}--extra simulator=NAME with, for example, fail, refuse, fail-once or never;")
    print_line(f"{'':14}`avatars simulate` lists all")
