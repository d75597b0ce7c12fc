"""`.env`: refused if another user can change it or it is not a file; and which source sets a setting."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from models.environment import env_file
from models.environment.env_file import read_setting_sources
from models.errors import SettingsError
from models.settings import Settings

OTHER_USER_ID = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.env` that can be trusted, in the current folder."""
    folder = tmp_path / "project"
    folder.mkdir(mode=0o700)
    monkeypatch.chdir(folder)
    path = folder / ".env"
    path.write_text("ARGIL_API_URL=https://canary.example/v1\n")
    path.chmod(0o644)
    return path


def refusal() -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "canary" not in f"{caught.value}{caught.value.hint}"
    return caught.value


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o755])
def test_file_that_only_its_owner_can_change_is_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert Settings.load().argil_api_url == "https://canary.example/v1"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620, 0o602])
def test_file_that_others_can_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    error = refusal()
    assert f"{file} is not read: other users can change it (mode {mode:04o})" in str(error)
    assert f"chmod go-w {file}" in error.hint


PREFECT_SETTINGS = {
    "prefect.toml": ['[api]\nurl = "https://canary.example/api"', "", "not TOML"],
    "pyproject.toml": [
        '[tool.prefect.api]\nurl = "https://canary.example/api"',
        '[tool]\nprefect = {api = {url = "https://canary.example/api"}}',
        '"tool"."pr\\u0065fect".api.url = "https://canary.example/api"',
    ],
}


@pytest.mark.parametrize(
    ("name", "content"), [(n, c) for n, contents in PREFECT_SETTINGS.items() for c in contents]
)
def test_prefect_settings_that_others_can_change_are_refused(file: Path, name: str, content: str) -> None:
    prefect_file = file.with_name(name)
    prefect_file.write_text(content)
    prefect_file.chmod(0o644)
    assert Settings.load().argil_api_url == "https://canary.example/v1"
    prefect_file.chmod(0o664)
    assert f"{prefect_file} is not read: other users can change it (mode 0664)" in str(refusal())


@pytest.mark.parametrize("name", PREFECT_SETTINGS)
def test_prefect_settings_in_a_named_pipe_are_refused(file: Path, name: str) -> None:
    os.mkfifo(file.with_name(name))
    assert f"{name} cannot be read: it is a named pipe" in str(refusal())


@pytest.mark.parametrize("content", ["", "[tool.ruff]\n", "[project]\nname = 'prefect'\n", "tool = 1", "not TOML"])
def test_other_project_file_may_be_writable_by_others(file: Path, content: str) -> None:
    project_file = file.with_name("pyproject.toml")
    project_file.write_text(content)
    project_file.chmod(0o664)
    assert Settings.load().argil_api_url == "https://canary.example/v1"


@needs_root
@pytest.mark.parametrize("is_link", [False, True])
def test_file_of_another_user_is_refused(file: Path, tmp_path: Path, *, is_link: bool) -> None:
    if is_link:
        file.rename(tmp_path / "mine")
        file.symlink_to(tmp_path / "mine")
    os.chown(file, OTHER_USER_ID, OTHER_USER_ID, follow_symlinks=False)
    assert f"belongs to the user with id {OTHER_USER_ID}" in str(refusal())


@pytest.mark.parametrize("depth", [0, 1])
def test_file_that_others_can_replace_is_refused(file: Path, depth: int) -> None:
    folder = file.parents[depth]
    folder.chmod(0o777)
    assert f"because the folder {folder} is world-writable" in str(refusal())
    folder.chmod(0o1777)  # sticky: only the owner of a file can replace it
    assert Settings.load().argil_api_url == "https://canary.example/v1"


def test_link_to_a_file_that_others_can_change_is_refused(file: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    file.rename(shared / "env")
    file.symlink_to(shared / "env")
    assert Settings.load().argil_api_url == "https://canary.example/v1"
    (shared / "env").chmod(0o666)
    assert "other users can change it" in str(refusal())
    (shared / "env").chmod(0o600)
    shared.chmod(0o777)
    assert f"because the folder {shared} is world-writable" in str(refusal())


def test_named_pipe_is_refused_without_waiting(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)
    assert f"{file} cannot be read: it is a named pipe" in str(refusal())


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("folder", "a folder"),
        ("device", "a device"),
        ("proc", "one of the kernel's"),
        ("large", "larger than"),
        ("binary", "not valid UTF-8"),
    ],
)
def test_anything_but_a_small_text_file_is_refused(file: Path, kind: str, cause: str) -> None:
    file.unlink()
    if kind == "folder":
        file.mkdir(mode=0o700)
    elif kind == "large":
        file.touch(0o600)
        os.truncate(file, env_file.MAX_BYTES + 1)
    elif kind == "binary":
        file.write_bytes(b"ARGIL_API_KEY=\xff\n")
        file.chmod(0o600)
    else:
        file.symlink_to("/dev/null" if kind == "device" else "/proc/self/environ")
    error = refusal()
    assert cause in str(error)
    assert error.hint


@pytest.mark.parametrize("target", [None, "nothing"])
def test_missing_file_is_not_an_error(file: Path, target: str | None) -> None:
    file.unlink()
    if target:
        file.symlink_to(target)
    assert Settings.load().argil_api_url == "https://api.argil.ai/v1"


def test_deleted_folder_has_no_file(file: Path) -> None:
    file.unlink()
    file.parent.rmdir()
    assert Settings.load().argil_api_url == "https://api.argil.ai/v1"


def test_repr_of_the_sources_has_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", "canary-key")
    assert "canary" not in f"{read_setting_sources()!r}"


def test_invalid_value_names_its_source(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("AVATARS_RETRAIN_LIMIT=canary\nAVATARS_MEDIA_CHECK=strict\n")
    monkeypatch.setenv("AVATARS_MEDIA_CHECK", "canary")
    first, second = str(refusal()).split("; ")
    assert (first.endswith("(set by the environment)"), second.endswith(f"(set by {file})")) == (True, True)


def test_sources_are_described(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("ARGIL_API_URL=https://canary.example\nARGIL_API_KEY=canary-1\n")
    monkeypatch.setenv("ARGIL_API_KEY", "canary-2")
    described = read_setting_sources().describe(("ARGIL_API_URL", "ARGIL_API_KEY", "AVATARS_DATABASE_URL"))
    assert described == (
        f"ARGIL_API_URL from {file}, ARGIL_API_KEY from the environment ({file} differs and is ignored), "
        "AVATARS_DATABASE_URL not set"
    )


def test_contradiction_is_logged_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ARGIL_API_URL", "https://other-canary.example")
    with caplog.at_level(logging.WARNING):
        assert Settings.load().argil_api_url == "https://other-canary.example"
        Settings.load()
    [message] = caplog.messages
    assert message.startswith(f"ARGIL_API_URL is set by the environment and, differently, in {file}")
    assert "canary" not in message.replace(str(file), "")


def test_key_sent_to_the_url_of_the_file_is_logged(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", "canary-key")
    with caplog.at_level(logging.WARNING):
        Settings.load()
    assert caplog.messages == [f"the environment's ARGIL_API_KEY is sent to the ARGIL_API_URL that {file} sets"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AVATARS_MANIFEST_DIRS", "AVATARS_MANIFEST_DIR"),
        ("AVATAR_MANIFEST_DIR", "AVATARS_MANIFEST_DIR"),
        ("avatars_databse_url", "AVATARS_DATABASE_URL"),
        ("ARGIL_API_KEYS", "ARGIL_API_KEY"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_misspelt_name_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str, *, in_file: bool
) -> None:
    if in_file:
        file.write_text(f"{name}=canary\n")
    else:
        monkeypatch.setenv(name, "canary")
    assert str(refusal()) == f"{name.upper()}: is not a setting. Did you mean {meant}?"


@pytest.mark.parametrize("name", ["AVATARS_SERVICE_HOST", "AVATARS_WEBHOOK_SERVICE_PORT", "AVATARS_CHAOS", "X"])
def test_name_of_another_program_is_ignored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    Settings.load()


@pytest.mark.parametrize(("value", "expected"), [("/srv/m", Path("/srv/m")), ("", None)])
def test_manifest_folder_is_an_absolute_path(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: Path | None
) -> None:
    monkeypatch.setenv("AVATARS_MANIFEST_DIR", value)
    assert Settings.load().avatars_manifest_dir == expected


@pytest.mark.parametrize("value", ["/", "//", "/srv/..", ".", "manifests", "~/manifests"])
def test_other_manifest_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AVATARS_MANIFEST_DIR", value)
    assert str(refusal()).startswith("AVATARS_MANIFEST_DIR: ")
