"""`avatars up`: Prefect server, deployments, runner and webhook receiver in one foreground process."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import result, say
from cli.simulated import simulated
from models.errors import AvatarsError
from models.outcomes import EXIT_OK
from models.redaction import redact_url
from models.settings import Settings
from models.webhook import PATH

if TYPE_CHECKING:
    from deployments.stack import Stack

DEFAULT_PORT = 4200
LOOK_SECONDS = 1.0


def up(
    *,
    simulate: bool = False,
    port: int = DEFAULT_PORT,
    training_seconds: float = 30.0,
    home: Path | None = None,
) -> int:
    """Run the whole service on this machine until Ctrl-C or SIGTERM.

    Parameters
    ----------
    simulate
        Against a simulated Argil with sample videos, instead of the real one.
    port
        Where the Prefect server listens on loopback, if none is configured; 0 takes a free one.
    training_seconds
        How long a simulated training takes.
    home
        Where a simulated world keeps its ledger and Prefect database; without it they end with the command.

    """
    told_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_end.set())
    with contextlib.ExitStack() as stack:
        videos = stack.enter_context(_simulated_world(training_seconds, home)) if simulate else []
        settings = Settings.load()
        from deployments.prefect_server import claimed_port
        from deployments.stack import WEBHOOK_PORT_HINT, embedded_stack

        if settings.avatars_webhook_token is not None:  # seconds before its receiver would meet the same
            claimed_port(settings.avatars_webhook_port, hint=WEBHOOK_PORT_HINT)
        if code := _in_a_process("cli", "db", "upgrade"):
            return code
        running = stack.enter_context(embedded_stack(say, port, settings))
        if simulate and (code := _in_a_process("cli", "webhook", "register", "--url", running.webhook_url or "")):
            return code
        _print_addresses(running, settings, videos)
        while not told_to_end.wait(LOOK_SECONDS):
            running.require_all()
        say("ending")
    return EXIT_OK


@contextlib.contextmanager
def _simulated_world(training_seconds: float, home: Path | None) -> Iterator[list[str]]:
    """Run a simulated Argil and point this process and its children to it; yields the URLs of two sample videos.

    It has a home of its own, whatever is configured: reconciled against the simulator, the real ledger's avatars
    would be taken for vanished.
    """
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(simulated(training_seconds=training_seconds))
        folder = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avatars-up-")))
        own = {
            "PREFECT_HOME": str(folder.resolve() / "prefect"),
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{folder.resolve() / 'avatars.db'}",
        }
        os.environ.update({**world.environment, **own})
        settings = Settings.load()
        if settings.avatars_webhook_token is None:
            os.environ["AVATARS_WEBHOOK_TOKEN"] = secrets.token_urlsafe()
        if "avatars_webhook_port" not in settings.model_fields_set:
            os.environ["AVATARS_WEBHOOK_PORT"] = "0"  # only the simulator looks for it
        if code := _in_a_process("simulator.videos", str(world.videos)):
            raise AvatarsError(f"the sample videos could not be made (exit code {code})", hint="see above")
        yield [world.media.url(name) for name in ("dataset.mp4", "consent.mp4")]


def _in_a_process(*words: str) -> int:
    """Run a module to its end and return its exit code: this process stays small for as long as it watches."""
    return subprocess.run([sys.executable, "-m", *words], stdout=sys.stderr.fileno(), check=False).returncode  # noqa: S603  # our own interpreter and module


def _print_addresses(running: Stack, settings: Settings, videos: list[str]) -> None:
    api = redact_url(running.api_url)
    lines = {"Prefect UI": api.removesuffix("/api"), "Prefect API": api, "Argil": settings.argil_api_url}
    lines["ledger"] = redact_url(settings.avatars_database_url.get_secret_value())
    if running.webhook_url:
        lines["webhooks"] = f"{running.webhook_url}{PATH}…"
    for label, value in lines.items():
        result.print(f"{label:14}{value}", markup=False, soft_wrap=True)
    for video in videos:
        result.print(f"{'sample video':14}{video}", markup=False, soft_wrap=True)
    say("ready; Ctrl-C ends it")
