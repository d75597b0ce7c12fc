"""`avatars simulate`: run the simulated Argil API and video host in the foreground."""

from __future__ import annotations

import os
import shlex
import signal
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import print_line, print_script_line, print_status
from cli.options import TrainingSeconds
from cli.simulated_environment import SimulatedEnvironment, simulated_environment
from cli.terminal import stdout_console
from models.environment.simulated_settings import removed_variables
from models.errors import SettingsError
from models.exit_codes import EXIT_OK
from simulator.sample_videos import SAMPLES, ensure_sample
from simulator.scenarios import SCENARIOS

DEFAULT_PORT = 8900
SimulatorPort = Annotated[int, Parameter(validator=Number(gte=0, lte=65_534))]
"""The video host uses the next port."""


def simulate(*, port: SimulatorPort = DEFAULT_PORT, training_seconds: TrainingSeconds = 10.0) -> int:
    """Run the simulated Argil API and a host of sample videos until Ctrl-C or SIGTERM.

    The output is a shell script: to use the simulator in another shell, save it in a file and run `. FILE` there.

    Args:
        port: Loopback port of the API; the video host uses the next one. 0 selects free ports.
        training_seconds: Duration of a simulated training.

    """
    media_port = port + 1 if port else 0
    try:
        with simulated_environment(
            training_seconds=training_seconds, port=port, media_port=media_port
        ) as simulated:
            for name in SAMPLES:
                ensure_sample(name, simulated.videos)
            _print_settings(simulated)
            stdout_console.print("\n# sample videos, a picture and a voice:")
            for name in SAMPLES:
                print_line(f"#   {simulated.media.url(name)}")
            stdout_console.print("\n# faults, selected with --extra simulator=NAME (separate several with commas):")
            for scenario in SCENARIOS.values():
                print_line(f"#   {scenario.name:26} {scenario.description}")
            print_status("ready; the output has settings, samples and faults; press Ctrl-C to stop")
            signal.pause()
    except OSError as error:
        raise SettingsError(
            f"cannot listen on port {port} or {media_port}: {error}", hint="choose another one with --port"
        ) from None
    except KeyboardInterrupt:
        print_status("stopped")
    return EXIT_OK


def _print_settings(simulated: SimulatedEnvironment) -> None:
    """Print the commands that connect a shell to the simulator, its ledger and a Prefect server of its own."""
    stdout_console.print("# settings for `avatars`: run them in another shell. The ledger ends with this command.")
    if removed := removed_variables(os.environ):
        print_line(f"unset {' '.join(removed)}")
    for name, value in simulated.settings(keeps_behaviour=True).items():
        print_script_line(f"export {name}={shlex.quote(value) if value else value}")
