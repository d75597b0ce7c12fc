"""`avatars simulate`: the simulated Argil API and video host alone, in the foreground."""

from __future__ import annotations

import signal

from cli.console import result, say
from cli.simulated import simulated
from models.errors import SettingsError
from models.outcomes import EXIT_OK
from simulator.scenarios import SCENARIOS
from simulator.videos import SAMPLES, sample

DEFAULT_PORT = 8900


def simulate(*, port: int = DEFAULT_PORT, training_seconds: float = 10.0) -> int:
    """Run the simulated Argil API and a host of sample videos until Ctrl-C.

    Parameters
    ----------
    port
        Where the API listens on loopback; the video host takes the next one. 0 takes free ones.
    training_seconds
        How long a training takes.

    """
    media_port = port + 1 if port else 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with simulated(training_seconds=training_seconds, port=port, media_port=media_port) as world:
            for name in SAMPLES:
                sample(name, world.videos)
            result.print("# settings that point `avatars` here:")
            for name, value in world.environment.items():
                result.print(f"export {name}={value}", markup=False, soft_wrap=True)
            result.print("\n# sample videos:")
            for name in SAMPLES:
                result.print(world.media.url(name), markup=False, soft_wrap=True)
            result.print("\n# faults, chosen with --extra simulator=NAME (several by commas):")
            for scenario in SCENARIOS.values():
                result.print(f"{scenario.name:20} {scenario.does}", markup=False, soft_wrap=True)
            say("ready; Ctrl-C ends it")
            signal.pause()
    except OSError as error:
        raise SettingsError(f"port {port} or {media_port} cannot be used: {error}", hint="choose --port") from None
    except KeyboardInterrupt:
        say("ended")
    return EXIT_OK
