"""`avatars up`: Prefect server, deployments, runner and webhook receiver in one foreground process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

from cli.console import result, say
from cli.simulated import simulated
from models.errors import PrefectError
from models.outcomes import EXIT_OK
from models.settings import Settings

DEFAULT_PORT = 4200
LOOK_SECONDS = 1.0


def up(*, simulate: bool = False, port: int = DEFAULT_PORT, training_seconds: float = 30.0) -> int:
    """Run the whole service on this machine until Ctrl-C or SIGTERM.

    Parameters
    ----------
    simulate
        Against a simulated Argil with sample videos, instead of the real one.
    port
        Where the Prefect server listens on loopback, if none is configured; 0 takes a free one.
    training_seconds
        How long a simulated training takes.

    """
    told_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_end.set())
    with contextlib.ExitStack() as stack:
        videos: list[str] = []
        if simulate:
            world = stack.enter_context(simulated(training_seconds=training_seconds))
            os.environ.update(world.environment)
            if code := _in_a_process("simulator.videos", str(world.videos)):
                return code
            videos = [world.media.url(name) for name in ("dataset.mp4", "consent.mp4")]
        settings = Settings.load()
        settings.require_api_key()
        if code := _in_a_process("cli", "db", "upgrade"):
            return code
        from deployments.stack import embedded_stack

        running = stack.enter_context(embedded_stack(say, port))
        _print_addresses(running.api_url, settings, videos)
        while not told_to_end.wait(LOOK_SECONDS):
            if running.runner.poll() is not None:
                raise PrefectError(f"the runner ended with {running.runner.returncode}", hint="start it again")
        say("ending")
    return EXIT_OK


def _in_a_process(*words: str) -> int:
    """Run a module to its end and return its exit code: this process stays small for as long as it watches."""
    return subprocess.run([sys.executable, "-m", *words], stdout=sys.stderr.fileno(), check=False).returncode  # noqa: S603  # our own interpreter and module


def _print_addresses(api_url: str, settings: Settings, videos: list[str]) -> None:
    lines = {"Prefect UI": api_url.removesuffix("/api"), "Prefect API": api_url, "Argil": settings.argil_api_url}
    if settings.avatars_webhook_token is not None:
        lines["webhooks"] = f"http://127.0.0.1:{settings.avatars_webhook_port}/webhooks/argil/…"
    for label, value in lines.items():
        result.print(f"{label:14}{value}", markup=False, soft_wrap=True)
    for video in videos:
        result.print(f"{'sample video':14}{video}", markup=False, soft_wrap=True)
    say("ready; Ctrl-C ends it")
