"""Reads the Dockerfile, and builds its stages into folders that lie over this machine's files."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
BUILD_SECONDS = 300
VARIABLE = re.compile(r"\$(\w+)")

# $1: the layer, $2: a folder for the rest; then the program and its arguments. What lies on other file systems than the
# root is not seen through the overlay, so name servers are mounted.
IN_LAYER = """
mkdir -p "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1,workdir=$2/work" "$2/root"
mount --rbind /dev "$2/root/dev"
mount -t proc proc "$2/root/proc"
mount --bind /etc/resolv.conf "$2/root/etc/resolv.conf"
root="$2/root"
shift 2
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    text: str

    @property
    def arguments(self) -> list[str]:
        """The JSON array, or the words without options."""
        if self.text.startswith("["):
            arguments: list[str] = json.loads(self.text)
            return arguments
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    @property
    def options(self) -> dict[str, str]:
        words = (word[2:].partition("=") for word in self.text.split() if word.startswith("--"))
        return {name: value for name, _equals, value in words}


@dataclass(slots=True)
class Image:
    """A stage: its files, and how it starts."""

    base: str
    layer: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)  # of the base image; ours have none
    health: list[str] = field(default_factory=list)


def instructions() -> Iterator[Instruction]:
    text = "".join(line for line in DOCKERFILE.read_text().splitlines(keepends=True) if not line.startswith("#"))
    for line in text.replace("\\\n", "").splitlines():
        name, _blank, rest = line.partition(" ")
        if name:
            yield Instruction(name, rest.strip())


def stages() -> dict[str, list[Instruction]]:
    """Return the instructions of each stage, by its name."""
    found: dict[str, list[Instruction]] = {}
    for each in instructions():
        if each.name == "FROM":
            current = found.setdefault(each.text.split()[-1], [])
        current.append(each)
    return found


def build(wanted: list[str], folder: Path) -> dict[str, Image]:
    """Build stages in this order, each over this machine's files instead of over its base image."""
    images: dict[str, Image] = {}
    for name in wanted:
        first, *rest = stages()[name]
        layer = folder / name
        layer.mkdir()
        images[name] = Image(first.arguments[0], layer)
        if images[name].base.startswith("keycloak/"):
            _take_keycloak(images[name])
        for each in rest:
            _carry_out(each, images[name], images)
    return images


def _take_keycloak(image: Image) -> None:
    """Put into the layer what Keycloak's own image has: its files, for an account of its own."""
    home = image.layer / "opt/keycloak"
    shutil.copytree(os.environ["STOA_KEYCLOAK_HOME"], home)
    subprocess.run(["chown", "--recursive", "1000:0", str(home)], check=True)
    image.entrypoint = ["/opt/keycloak/bin/kc.sh"]


def _carry_out(each: Instruction, image: Image, images: dict[str, Image]) -> None:
    match each.name:
        case "WORKDIR":
            image.folder = each.text
            _inside(image, each.text).mkdir(parents=True, exist_ok=True)
        case "RUN":
            _run(each, image)
        case "COPY":
            _copy(each, image, images)
        case "ENV":
            values = (word.partition("=") for word in shlex.split(each.text))
            image.environment |= {name: _expand(value, image) for name, _equals, value in values}
        case "USER":
            image.user = each.text
        case "CMD":
            image.command = each.arguments
        case "HEALTHCHECK":
            image.health = json.loads(each.text.partition("CMD ")[2])
        case "EXPOSE":
            pass
        case _:
            raise AssertionError(f"{each.name} is not understood here")


def _expand(value: str, image: Image) -> str:
    known = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} | image.environment
    return VARIABLE.sub(lambda found: known[found[1]], value)


def _inside(image: Image, path: str) -> Path:
    return image.layer / (Path(image.folder) / path).as_posix().lstrip("/")


def _copy(each: Instruction, image: Image, images: dict[str, Image]) -> None:
    *sources, target = each.arguments
    stage = each.options.get("from")
    for source in sources:
        path = images[stage].layer / source.lstrip("/") if stage else ROOT / source
        place = _inside(image, target)
        if path.is_dir():
            shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True)
        else:
            place = place / path.name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


def _run(each: Instruction, image: Image) -> None:
    program = each.arguments if each.text.startswith("[") else ["sh", "-c", each.text]
    scratch = image.layer.with_suffix(".build")
    scratch.mkdir(exist_ok=True)
    command = ["unshare", "--mount", "sh", "-ec", IN_LAYER, "sh", str(image.layer), str(scratch)]
    command += ["env", f"--chdir={image.folder}", *program]
    environment = os.environ | image.environment
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert not done.returncode, f"RUN {each.text}\n{done.stdout}{done.stderr}"
