"""The examples at the end of each command's `--help`. A test parses every one of them."""

from __future__ import annotations

from collections.abc import Sequence

EXAMPLES: dict[str, tuple[str, ...]] = {
    "provision": (
        'avatars provision --name "Ada Lovelace" --reference creator-4711 \\\n'
        "  --dataset-video s3://recordings/ada.mp4 \\\n"
        "  --consent-video s3://recordings/ada-consent.mp4",
        'avatars provision --name "Ada Lovelace" --reference creator-4711 \\\n'
        "  --image https://example.com/ada.png \\\n"
        "  --consent-video https://example.com/ada-consent.mp4",
    ),
    "batch": (
        "avatars batch --template creators.xlsx",
        "avatars batch creators.xlsx --dry-run",
        "avatars batch creators.xlsx --yes",
        'avatars batch creators.csv --map "Video link=dataset_video"',
    ),
    "enqueue": (
        'avatars enqueue --name "Ada Lovelace" --reference creator-4711 \\\n'
        "  --dataset-video s3://recordings/ada.mp4 \\\n"
        "  --consent-video s3://recordings/ada-consent.mp4",
    ),
    "list": (
        "avatars list --status refused",
        "avatars list --since 2026-11-01 --csv > november.csv",
        "avatars list --extra team=berlin",
    ),
    "batches": ("avatars batches --json",),
    "show": ("avatars show creator-4711",),
    "check": (
        "avatars check --role dataset ./ada.mov",
        "avatars check --role consent s3://recordings/ada-consent.mp4",
        "avatars check --role image https://example.com/ada.png",
    ),
    "evidence": ("avatars evidence creator-4711 --json",),
    "account": ("avatars account --limit 100",),
    "doctor": ("avatars doctor",),
    "reconcile": ("avatars reconcile",),
    "resume": ("avatars resume creator-4711", "avatars resume --status TIMED_OUT"),
    "retry": ("avatars retry creator-4711", "avatars retry --batch ID --enqueue"),
    "retrain": (
        'avatars retrain creator-4711 --reason "Eva: recorded again, more light" \\\n'
        "  --dataset-video s3://recordings/brighter.mp4",
        'avatars retrain creator-4712 --reason "new voice" \\\n  --voice-sample s3://recordings/ada.mp3',
    ),
    "adopt": (
        "avatars adopt 8d7c9d5e-4f4a-4a52-9a5f-0d8f4f0f6a11 --reference creator-4711",
        "avatars adopt --all --map creators.csv --dry-run",
    ),
    "cancel": ("avatars cancel creator-4711", "avatars cancel --batch ID"),
    "voice": (
        "avatars voice creator-4711",
        "avatars voice creator-4711 0d8f4f0f-6a11-4a52-9a5f-8d7c9d5e4f4a",
    ),
    "release": ('avatars release creator-4711 --reason "Eva, 27 Nov: consent is on file"',),
    "erase": ("avatars erase creator-4711 --in-prefect",),
    "archive": ("avatars archive --older-than-days 365 --output avatars-2026.jsonl.gz",),
    "up": ("avatars up --simulate", "ARGIL_API_KEY=... avatars up"),
    "demo": ("avatars demo",),
    "simulate": ("avatars simulate --training-seconds 5 > simulated.sh",),
    "deploy": ("avatars deploy --pool avatars",),
    "db": ("avatars db upgrade", "avatars db backup avatars-2026-11-27.db"),
    "webhook": ("avatars webhook register --url https://avatars.example.com", "avatars webhook list"),
    "automations": ("avatars automations apply --notification-block slack-webhook/ops",),
    "credentials": ("avatars credentials",),
}
"""By the name of the command: what a user types, as it is shown."""


OVERVIEW_END = """Start:
  avatars demo                                see every outcome, without a key
  avatars simulate > simulated.sh             a simulated Argil for other shells
  avatars check --role dataset ada.mp4        check a recording
  avatars batch --template creators.xlsx      write an empty list to fill in
  avatars batch creators.xlsx --dry-run       check the list and its recordings
  avatars batch creators.xlsx                 create the avatars
  avatars list --needs-attention              what waits for you

Exit codes:
  0  success                                  10  training failed
  1  some of several did not succeed          11  refused by moderation
  2  bad input, or a rejected request         12  training timed out
  3  something outside the request to fix     13  cancelled
  4  Argil rejected the request               14  the avatar vanished"""
"""The end of `avatars --help`. A test compares the codes with docs/outcomes.md."""


def examples_of(words: Sequence[str]) -> str:
    """Return the end of the help text of a command.

    Args:
        words: What follows `avatars`: the name of a command, then the name of its subcommand, if it has any.

    """
    examples = EXAMPLES[words[0]]
    of_subcommand = [example for example in examples if example.startswith(f"avatars {' '.join(words[:2])} ")]
    shown = of_subcommand or examples
    lines = [f"  {line}" for example in shown for line in example.split("\n")]
    return "\n".join(["Example:" if len(shown) == 1 else "Examples:", *lines])
