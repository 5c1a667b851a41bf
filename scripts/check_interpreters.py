"""Installs the wheel as a user would, on each supported Python that is here, and runs it.

`python -m scripts.check_interpreters DIST [--only 3.X]`. Everything happens in an empty
folder far from the sources. An interpreter that is not here is named as skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MAX_DISTRIBUTIONS = 30
_OF_THE_VENV = frozenset({"pip", "setuptools"})
_BIN = "Scripts" if os.name == "nt" else "bin"
_QUESTION = "What files are here, and what does README.md say first?"
# The folder of this file is no part of the path: what is imported is what was installed.
_IMPORT_EVERYTHING = """
import pathlib, sys, sdk_workflow
assert pathlib.Path(sys.prefix) in pathlib.Path(sdk_workflow.__file__).parents, sdk_workflow.__file__
for name in sdk_workflow.__all__:
    getattr(sdk_workflow, name)
"""


class CheckError(Exception):
    """The wheel does not do on an interpreter what it should; the message says what."""


def find_interpreter(version: str) -> str | None:
    """Return a Python of that version ("3.12"): our own, one on the PATH, or one of pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]
    return next((each for each in candidates if each and _has_version(each, version)), None)


def _has_version(python: str, version: str) -> bool:
    """Return whether a program runs and is that Python: a shim may name one that is not there."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    result = subprocess.run(  # noqa: S603 - a program of the PATH or of pyenv, no shell
        [python, "-c", code], capture_output=True, text=True, check=False
    )
    return result.returncode == 0 and result.stdout.strip() == version


def check_wheel(python: str, wheel: Path, folder: Path) -> str:
    """Install a wheel into a new environment beneath a folder, use it, and say what was seen.

    Raises:
        CheckError: If a step fails.
    """
    environment, work = folder / "venv", folder / "work"
    work.mkdir()
    (work / "README.md").write_text("# Tides\n\nWhen the water comes.\n", encoding="utf-8")
    _run([python, "-m", "venv", str(environment)], work)
    own = str(environment / _BIN / "python")
    pip = [own, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", str(wheel)], work)
    _run([*pip, "check"], work)
    count = _count_distributions(_run([*pip, "list", "--format", "json"], work))
    _run([own, "-W", "error", "-c", _IMPORT_EVERYTHING], work)
    for command in ("sdk_workflow", "sdk-workflow"):
        _check_answer(_run([str(environment / _BIN / command), "run", _QUESTION], work))
    return f"{count} distributions, pip check clean, both commands answer"


def _count_distributions(listing: str) -> int:
    names = {each["name"] for each in json.loads(listing)} - _OF_THE_VENV
    if len(names) > MAX_DISTRIBUTIONS:
        raise CheckError(f"{len(names)} distributions, more than {MAX_DISTRIBUTIONS}: {names}")
    return len(names)


def _check_answer(answer: str) -> None:
    # Without directory descriptors (Windows) the file tools refuse, and the answer says so.
    wanted = "Tides" if os.open in os.supports_dir_fd else "README.md"
    if wanted not in answer:
        raise CheckError(f"the simulator did not read the folder; it said {answer!r}")


def _run(argv: list[str], folder: Path) -> str:
    # Neither the sources nor a key of the machine: the simulator answers.
    left_out = ("PYTHONPATH", "PYTHONHOME", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env |= {"SDK_WORKFLOW_HOME": str(folder.parent / "home"), "PYTHONUTF8": "1"}
    result = subprocess.run(  # noqa: S603 - our own words, no shell
        argv, cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False
    )
    if result.returncode != 0:
        raise CheckError(f"{argv!r} ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def _report(version: str, wheel: Path) -> bool:
    """Check one version, print a line, and return whether nothing failed."""
    python = find_interpreter(version)
    if python is None:
        print(f"{version}: skipped, no such interpreter here", flush=True)
        return True
    with tempfile.TemporaryDirectory() as folder:
        try:
            print(f"{version}: {check_wheel(python, wheel, Path(folder))}", flush=True)
        except CheckError as error:
            print(f"{version}: FAILED, {error}", flush=True)
            return False
    return True


def main(arguments: list[str]) -> int:
    """Check the one wheel of a folder; return 1 where it fails on an interpreter."""
    parser = argparse.ArgumentParser(prog="python -m scripts.check_interpreters")
    parser.add_argument("dist", type=Path, help="the folder that holds the wheel")
    parser.add_argument("--only", choices=PYTHONS, action="append", help="one version; repeatable")
    options = parser.parse_args(arguments)
    wheels = list(options.dist.resolve().glob("*.whl"))
    if len(wheels) != 1:
        print(f"{options.dist} holds {len(wheels)} wheels instead of one.", file=sys.stderr)
        return 1
    outcomes = [_report(version, wheels[0]) for version in options.only or PYTHONS]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
