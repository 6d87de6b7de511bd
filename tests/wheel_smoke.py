"""What a user of the wheel gets: builds the sdist, the wheel from it, installs that in a clean environment and scans.

Run by `make test`, before pytest: `python tests/wheel_smoke.py`. Exits non-zero, naming what is wrong.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Build, install, look at what landed, scan in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = _build(work)
        environment = _install(work, wheel)
        _check_what_landed(environment)
        _scan(work, environment)
    print(f"wheel smoke: {wheel.name} installs and scans")


def _build(work: Path) -> Path:
    """Return the wheel that is built from the sdist, unpacked outside the checkout."""
    _run("build the sdist", [sys.executable, "-m", "build", "--sdist", "--outdir", str(work), str(ROOT)])
    [sdist] = work.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "sdist", filter="data")
    [source] = (work / "sdist").iterdir()
    _run("build the wheel", [sys.executable, "-m", "build", "--wheel", "--outdir", str(work), str(source)])
    [wheel] = work.glob("*.whl")
    return wheel


def _install(work: Path, wheel: Path) -> Path:
    environment = work / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    constraints = str(ROOT / "constraints.txt")
    # Compiled is what is imported, when it is, and not all of what is installed: a minute less.
    options = ["--quiet", "--no-compile", "--constraint", constraints]
    _run("install the wheel", [python, "-m", "pip", "install", *options, f"{wheel}[local]"])
    return environment


def _check_what_landed(environment: Path) -> None:
    [site_packages] = environment.glob("lib/python*/site-packages")
    for name in ("graphs", "prompts", "tests", "bench", "docs"):
        if (site_packages / name).exists():
            raise SystemExit(f"wheel smoke: a generic name landed at the top of site-packages: {name}")
    for part in ("prompts/greeks.md", "graphs/review.py", "py.typed"):
        if not (site_packages / "mahler_agents" / part).is_file():
            raise SystemExit(f"wheel smoke: the wheel lacks mahler_agents/{part}")


def _scan(work: Path, environment: Path) -> None:
    empty = work / "empty"
    empty.mkdir()
    imported = "import mahler_agents.graphs.review as review; review.build()"
    _run("import the graph", [str(environment / "bin" / "python"), "-c", imported], cwd=empty)
    mahler = str(environment / "bin" / "mahler")
    document = json.loads(_run("scan", [mahler, "scan", "--json"], cwd=empty))
    held = _filled(document)
    if not held:
        raise SystemExit("wheel smoke: the scan filled nothing")
    again = json.loads(_run("scan again", [mahler, "scan", "--model", "none", "--json"], cwd=empty))
    if held & _filled(again):
        raise SystemExit(f"wheel smoke: the second scan opened again: {held & _filled(again)}")
    listed = _run("list traces", [mahler, "trace", "list"], cwd=empty)
    if document["run_id"] not in listed:
        raise SystemExit("wheel smoke: `mahler trace list` does not know the run")


def _filled(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return underlying, spread type and expiration of what a scan opened."""
    filled = [review for review in document["reviews"] if review["decision"]["decision"] == "traded"]
    spreads = [review["candidate"]["spread"] for review in filled]
    return {(spread["underlying"], spread["spread_type"], spread["expiration"]) for spread in spreads}


def _is_the_user_s(name: str) -> bool:
    """Return whether a variable would make the wheel's scan another than a newcomer's; the weights are only found."""
    if name == "MAHLER_MODELS":
        return False
    return name in {"PYTHONPATH", "VIRTUAL_ENV", "ENVIRONMENT"} or name.startswith(("MAHLER_", "OPENAI_"))


def _run(what: str, command: list[str], cwd: Path | None = None) -> str:
    """Return what a command printed; on failure show it and stop."""
    clean = {name: value for name, value in os.environ.items() if not _is_the_user_s(name)}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"wheel smoke: could not {what} (exit {done.returncode})")
    return done.stdout


if __name__ == "__main__":
    main()
