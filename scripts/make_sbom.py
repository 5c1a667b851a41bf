"""Writes what we install as a CycloneDX bill of materials: `python -m scripts.make_sbom FILE`.

It reads the locks and nothing else: no network, no environment, no clock. So the same locks give
the same bytes. What only developers and tests install is marked as excluded.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.lock_file import read_pins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lock_file import Pin

PROJECT = Path(__file__).resolve().parents[1]
# The first lock that names a package decides its scope.
LOCKS = (
    ("requirements-lock.txt", "required"),
    ("requirements-dev.txt", "excluded"),
    ("requirements-lowest.txt", "excluded"),
    ("requirements-model.txt", "excluded"),
    ("requirements-audit.txt", "excluded"),
    ("requirements-safety.txt", "excluded"),
)
_VERSION = re.compile(r'^__version__ = "(.+)"$', flags=re.MULTILINE)


def sbom(project: Path = PROJECT) -> dict[str, Any]:
    """Return the bill of materials of the locks in a folder (CycloneDX 1.6)."""
    components = list(_components(project))
    version = _version(project)
    content = json.dumps([version, components])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": "sdk-workflow",
                "name": "sdk-workflow",
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": components,
    }


def _components(project: Path) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for file_name, scope in LOCKS:
        for pin in read_pins(project / file_name):
            component = _component(pin, scope)
            if component["purl"] not in seen:
                seen.add(component["purl"])
                yield component


def _component(pin: Pin, scope: str) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", pin.name).lower()
    purl = f"pkg:pypi/{name}@{pin.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": pin.version,
        "scope": scope,
        "purl": purl,
        # One archive for each platform: each hash stands for one of them.
        "externalReferences": [
            {
                "type": "distribution",
                "url": purl,
                "hashes": [{"alg": "SHA-256", "content": each.partition(":")[2]}],
            }
            for each in pin.hashes
        ],
    }
    if pin.marker:
        component["properties"] = [{"name": "sdk_workflow:marker", "value": pin.marker}]
    return component


def _version(project: Path) -> str:
    text = (project / "sdk_workflow/_internal/version.py").read_text(encoding="utf-8")
    match = _VERSION.search(text)
    if match is None:
        raise ValueError("sdk_workflow/_internal/version.py names no version.")
    return match[1]


def main(arguments: list[str]) -> int:
    """Write the file that the first argument names."""
    if len(arguments) != 1:
        print("usage: python -m scripts.make_sbom FILE", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    found = sbom()
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {len(found['components'])} locked packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
