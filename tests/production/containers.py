"""Runs a service of compose.yaml as a process: its command, environment, account, folders and read-only root.

A container is a mount namespace: the stage's files over this machine's, read-only, with the folders that compose.yaml
names on top. So the programs of other images are those of this machine: Debian's PostgreSQL, Redis and nginx.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.production.compose import Service
from tests.production.images import Image
from tests.waiting import wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin"
HEALTH_SECONDS = 60
ONCE_SECONDS = 120
Process = subprocess.Popen[bytes]

# What the entry point of the PostgreSQL image does: a cluster at the first start, and the scripts of its folder.
POSTGRES = """
export LC_ALL=C.UTF-8
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p -m 700 "$PGDATA"
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata="$PGDATA" --username=postgres --pwfile=/tmp/password --auth-local=trust \\
        --auth-host=scram-sha-256 > /tmp/initdb
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    echo "unix_socket_directories = '/run/postgresql'" >> "$PGDATA/postgresql.conf"
    export PGHOST=/run/postgresql
    "$@" -c listen_addresses= & server=$!
    until pg_isready --quiet; do sleep 0.1; done
    createdb --username=postgres "$POSTGRES_DB"
    for file in /docker-entrypoint-initdb.d/*.sh; do . "$file"; done
    kill -INT $server; wait $server || true
fi
exec "$@"
"""


@dataclass(slots=True)
class Containers:
    """The running services, in one folder: their volumes, logs and mount points."""

    folder: Path
    images: Mapping[str, Image]
    configurations: Mapping[str, str]
    running: dict[str, Process] = field(default_factory=dict)

    def start(self, service: Service) -> None:
        """Start it; wait for the end of what ends, and for the health of what stays."""
        self._set_network(service)
        command = ["unshare", "--mount", "sh", "-ec", self._script(service)]
        with self.log(service).open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if service.is_once:
            assert process.wait(ONCE_SECONDS) == 0, self.failure(service)
            return
        self.running[service.name] = process
        if not service.is_unchecked:
            # Its start_period is for a machine that does nothing else; this one also runs tests.
            start_period = service.values.get("healthcheck", {}).get("start_period", "0s")
            seconds = HEALTH_SECONDS + 3 * int(start_period.rstrip("s"))
            wait_until(lambda: self.is_healthy(service), f"{service.name} is healthy", seconds=seconds)

    def is_healthy(self, service: Service) -> bool:
        """Run its health check inside, as the container engine does."""
        process = self.running[service.name]
        assert process.poll() is None, self.failure(service)
        image = self.images.get(service.target)
        check = service.health or (image.health if image else [])
        return self.execute(service, check).returncode == 0

    def execute(self, service: Service, command: list[str]) -> "subprocess.CompletedProcess[bytes]":
        """Run a command inside the service's container, as `docker compose exec` does."""
        entered = ["nsenter", f"--target={self.running[service.name].pid}", "--mount", "--root"]
        return subprocess.run([*entered, *self._program(service, command)], check=False, capture_output=True)

    def stop(self, service: Service) -> int:
        """Send the signal that ends it; return its exit status. Raises TimeoutExpired after the grace period."""
        process = self.running.pop(service.name)
        process.send_signal(signal.Signals[service.values.get("stop_signal", "SIGTERM")])
        return process.wait(int(str(service.values.get("stop_grace_period", "10s")).rstrip("s")))

    def log(self, service: Service) -> Path:
        return self.folder / f"{service.name}.log"

    def failure(self, service: Service) -> str:
        return f"{service.name}:\n" + self.log(service).read_text(errors="replace")[-3000:]

    def _set_network(self, service: Service) -> None:
        for name, value in service.values.get("sysctls", {}).items():
            (Path("/proc/sys") / name.replace(".", "/")).write_text(str(value))

    def _script(self, service: Service) -> str:
        image = self.images.get(service.target)
        points, root = self.folder / f"{service.name}.points", self.folder / f"{service.name}.root"
        root.mkdir(exist_ok=True)
        layers = [str(points), *([str(image.layer)] if image else []), "/"]
        mounts = list(self._mounts(service))
        for path, _command in mounts:
            _make_point(points, path)
        # The account of the container must pass to the interpreter, which the virtual environment links to.
        for parent in Path(sys.base_prefix).parents:
            (points / str(parent).lstrip("/")).mkdir(parents=True, exist_ok=True)
        if service.name == "postgres":  # initdb wants a name for its account, which the image provides
            passwd = Path("/etc/passwd").read_text()
            (points / "etc").mkdir(exist_ok=True)
            (points / "etc/passwd").write_text(f"{passwd}postgres-image:x:10001:10001::/:/bin/sh\n")
        lines = [f"mount -t overlay overlay -o lowerdir={':'.join(layers)} {root}"]
        lines += [command.format(f"{root}{path}") for path, command in mounts]
        command = service.values.get("command") or (image.command if image else [])
        command = [*(image.entrypoint if image else []), *command]
        if service.name == "postgres":
            command = ["sh", "-ec", POSTGRES, "sh", *command]
        lines.append(f"exec chroot {root} {shlex.join(self._program(service, command))}")
        return "\n".join(lines)

    def _mounts(self, service: Service) -> list[tuple[str, str]]:
        """Return what is mounted in the container: the path in it, and the command with a place for the target."""
        found = [("/proc", "mount -t proc proc {}"), ("/dev", "mount --rbind /dev {}")]
        found.append(("/etc/resolv.conf", "mount --bind /etc/resolv.conf {}"))
        for path, options in service.tmpfs.items():
            # The first three are Docker's own.
            chosen = f"noexec,nosuid,nodev,{options or 'mode=1777'}"
            found.append((path, f"mount -t tmpfs -o {chosen} tmpfs {{}}"))
        for volume, path, mode in service.volumes:
            found.append((path, f"mount --bind {self._volume(volume, path, service)} {{}}"))
            if mode == "ro":
                found.append((path, "mount -o remount,ro,bind {}"))
        for each in service.values.get("configs", []):
            file = self.folder / each["source"]
            file.write_text(self.configurations[each["source"]])
            # In a tmpfs there is nothing to mount upon yet; elsewhere the root is read-only, and there is.
            point = "{{ test -e {0} || install -D -m 644 /dev/null {0}; }}"
            found.append((each["target"], f"{point} && mount --bind {file} {{0}}"))
        return found

    def _volume(self, name: str, path: str, service: Service) -> Path:
        """Return the volume's folder. The first container that mounts it decides whose it is, as with an engine."""
        folder = self.folder / f"volume-{name}"
        if not folder.exists():
            folder.mkdir()
            image = self.images.get(service.target)
            model = image.layer / path.lstrip("/") if image else None
            if model and model.exists():
                status = model.stat()
                os.chown(folder, status.st_uid, status.st_gid)
                folder.chmod(status.st_mode & 0o7777)
            else:  # the data folder of the PostgreSQL image
                folder.chmod(0o1777)
        return folder

    def _program(self, service: Service, command: list[str]) -> list[str]:
        """Return the command with its account, without capabilities, and with its environment alone."""
        image = self.images.get(service.target)
        user, group = str(service.values["user"]).split(":")
        program = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--inh-caps=-all"]
        program += ["--bounding-set=-all", "--no-new-privs"]
        environment = {"PATH": PATH, "HOME": "/"} | (image.environment if image else {})
        environment |= {name: str(value) for name, value in service.values.get("environment", {}).items()}
        folder = service.values.get("working_dir") or (image.folder if image else "/")
        chosen = [f"{name}={value}" for name, value in environment.items()]
        return [*program, "env", "--ignore-environment", f"--chdir={folder}", *chosen, *command]


def _make_point(points: Path, path: str) -> None:
    """Make what is mounted upon: an engine does that, too."""
    place = points / path.lstrip("/")
    if Path(path).suffix in {".conf", ".sh", ".json"}:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    else:
        place.mkdir(parents=True, exist_ok=True)
