"""`make sbom`: a bill of materials of what the product ships, in the schema of CycloneDX."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.project.documents import ROOT

PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def make_sbom(path: Path) -> str:
    # --old-file: the environment is the one that runs this test, and is not installed again.
    command = ["make", "--silent", "--old-file=.venv/.dev-installed", "sbom", f"SBOM={path}"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    return path.read_text()


def test_the_same_lock_file_gives_the_same_valid_document(tmp_path: Path) -> None:
    first, second = (make_sbom(tmp_path / name) for name in ("first.json", "second.json"))

    assert first == second
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first) is None


def test_it_lists_what_the_lock_file_pins_and_nothing_else(tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(make_sbom(tmp_path / "sbom.json"))
    listed = {(part["name"], part["version"]) for part in document["components"]}

    assert listed == set(PINNED.findall((ROOT / "requirements.lock").read_text()))
    assert document["metadata"]["component"]["name"] == "stoa-control-plane"
    assert all(part["purl"].startswith("pkg:pypi/") for part in document["components"])
    assert all(part["externalReferences"][0]["hashes"] for part in document["components"])
