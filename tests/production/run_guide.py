"""Follows the guide's pages "install" and "backup" word for word on a Debian of its own, and deploys under load.

The machine is this one, with a layer over its files that is gone afterwards. Three things are not the guide's: the
packages are downloaded before, because the machine has no way out; ``tests.production.systemctl`` stands in for
systemd; and nginx serves a token issuer as auth.example.com, where an installation has its identity provider.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from threading import Event, Thread

from tests.production import provider
from tests.project.documents import ROOT, blocks
from tests.waiting import wait_until

GUIDE = ROOT / "templates/guide"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
END_SECONDS = 20
COUNT_EVENTS = "SELECT count(*) FROM stoa_cp_event"
PSQL = "runuser -u postgres -- psql --no-align --tuples-only --dbname stoa --port"
# Under load from the first of these sections on; each must not lose a call.
UNDER_LOAD = ("Change a setting", "A new release")
LAYER = """
mkdir -p "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/root/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
"""
AUTH_SITE = """
server {
    listen 443 ssl;
    server_name auth.example.com;
    ssl_certificate /etc/stoa/auth.example.com.pem;
    ssl_certificate_key /etc/stoa/auth.example.com.key;
    location / { proxy_pass http://127.0.0.1:8080; proxy_set_header Host $host; }
}
"""


def sections(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the title of each section, and its blocks of shell."""
    for text in (GUIDE / f"{page}.md").read_text().split("\n## ")[1:]:
        title, _line, rest = text.partition("\n")
        yield title, blocks(rest, "sh")


def prepare(folder: Path) -> None:
    """Install what the guide installs, and download the Python packages."""
    subprocess.run(["sh", "-ec", LAYER, "sh", str(folder)], check=True)
    root = folder / "root"
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    # As in any container: a package must not start its service.
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    first = dict(sections("install"))["The packages"]
    shell = Shell(root, os.environ | {"DEBIAN_FRONTEND": "noninteractive", "PATH": PATH})
    for block in first:
        shell.run("The packages", block)
    shutil.copy(ROOT / "requirements.lock", root / "root/requirements.lock")
    shell.run("downloads", "python3 -m venv /root/download")
    shell.run(
        "downloads",
        "/root/download/bin/pip download --quiet --no-deps --require-hashes --only-binary :all:"
        " --requirement /root/requirements.lock --dest /root/wheels",
    )
    shell.end()
    shutil.copy("/etc/resolv.conf", folder / "names-of-this-machine")


def run(folder: Path) -> None:
    """Raises AssertionError at the first line that fails, and for each call that fails during a deploy."""
    root = folder / "root"
    subprocess.run(["mount", "-t", "proc", "proc", str(root / "proc")], check=True)
    shutil.copy(folder / "resolv.conf", root / "etc/resolv.conf")
    script = root / "usr/local/sbin/systemctl"
    script.write_text(f"#!/usr/bin/python3 -I\n{Path(__file__).with_name('systemctl.py').read_text()}")
    script.chmod(0o755)
    for release in ("0.1.0", "0.2.0"):
        write_release(root, release)
    grants = provider.serve("https://auth.example.com/realms/stoa", "127.0.0.1")
    shell = Shell(root, {"PATH": PATH, "HOME": "/root", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/root/wheels"})
    shell.run("", "cd /root")
    load = Load(root / "etc/stoa/ca.pem", provider.platform_token(grants))
    for title, lines in sections("install"):
        if title == "The packages":
            continue
        say(title)
        with load.running(title) if title in UNDER_LOAD else no_load():
            for block in lines:
                shell.run(title, block)
        if title == "Certificates":
            serve_provider(shell, root)
    back_up_and_restore(shell, load)
    runbooks(shell, load)
    shell.end()


def back_up_and_restore(shell: "Shell", load: "Load") -> None:
    """Dump, restore and check; then restore a moment between two rounds of changes."""
    found = dict(sections("backup"))
    say("Dump and restore")
    (dump, restore) = found["Dump and restore"]
    with load.running("a dump"):
        shell.run("Dump and restore", dump)
    assert "chains are whole" in shell.run("Dump and restore", restore)
    say("To any moment")
    (archive, copy, recover) = found["To any moment"]
    shell.run("To any moment", f"{archive}\nready")
    shell.run("To any moment", copy)
    with load.running("before the moment"):
        pass
    at_the_moment = events(shell, 5432)
    shell.run("a moment", 'MOMENT="$(date --utc "+%F %T.%N+00")"; sleep 1')
    with load.running("after the moment"):
        pass
    shell.run("the archive", f"{PSQL} 5432 -c 'SELECT pg_switch_wal()'\nsleep 2")
    shell.run("To any moment", recover)
    wait_until(lambda: "f" in shell.run("recovery", f"{PSQL} 5434 -c 'SELECT pg_is_in_recovery()'"), "it has recovered")
    assert at_the_moment <= events(shell, 5434) < events(shell, 5432)
    url = "postgres://stoa_owner:$OWNER_PASSWORD@127.0.0.1:5434/stoa"
    shell.run("the chains", f'cd /opt/stoa/current; stoa DATABASE_URL="{url}" .venv/bin/python manage.py check_chain')


def runbooks(shell: "Shell", load: "Load") -> None:
    """Follow the page "runbooks" under load, from before the fault on; without the primary there is no load."""
    found = dict(sections("runbooks"))
    for title, fault in (
        ("Scale out", "true"),
        ("Redis is gone", "systemctl stop redis-server; sleep 5"),
        ("The identity provider is gone", "rm /etc/nginx/conf.d/auth.conf; systemctl reload nginx"),
    ):
        say(title)
        with load.running(title):
            for block in (fault, *found[title]):
                shell.run(title, block)
    title = "The database's machine is gone"
    say(title)
    before = events(shell, 5433)
    for block in found[title]:
        shell.run(title, block)
    assert events(shell, 5433) >= before
    title = "Connections are used up"
    say(title)
    with load.running(title):
        for block in found[title]:
            shell.run(title, block)


def events(shell: "Shell", port: int) -> int:
    return int(shell.run("events", f"{PSQL} {port} -c '{COUNT_EVENTS}'"))


def say(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def write_release(root: Path, number: str) -> None:
    """Make the archive of a release where the guide unpacks it."""
    place = root / ("root" if number == "0.1.0" else "opt/stoa/0.1.0")
    place.mkdir(parents=True, exist_ok=True)
    names = ["manage.py", "requirements.lock", "templates", "stoa_cp", "tenants", "catalog", "subscriptions", "apikeys"]
    archive = place / f"stoa-control-plane-{number}.tar.gz"
    command = ["tar", "--create", "--gzip", f"--file={archive}", "--exclude=__pycache__", f"--directory={ROOT}"]
    subprocess.run([*command, *names, "metrics", "webhooks"], check=True)


def serve_provider(shell: "Shell", root: Path) -> None:
    """Let nginx serve the issuer with TLS, by the authority that the guide has made."""
    shell.run(
        "the provider's certificate",
        """
        cd /etc/stoa
        openssl req -newkey rsa:2048 -noenc -subj "/CN=auth" -addext "subjectAltName=DNS:auth.example.com" \
          -keyout auth.example.com.key -out auth.csr
        openssl x509 -req -in auth.csr -copy_extensions copy -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 \
          -out auth.example.com.pem
        """,
    )
    (root / "etc/nginx/conf.d/auth.conf").write_text(AUTH_SITE)


@dataclass(slots=True)
class Shell:
    """One shell of root on the machine, which runs block after block."""

    root: Path
    environment: "dict[str, str]"
    process: "subprocess.Popen[str]" = field(init=False)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            ["chroot", str(self.root), "bash", "-e"],
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, title: str, block: str) -> str:
        """Run a block; return what it prints. Raises AssertionError if one of its commands fails."""
        assert self.process.stdin
        assert self.process.stdout
        (self.root / "root/block.sh").write_text(block)
        # In this shell, because later blocks use its functions and variables; without the pipe as its input.
        self.process.stdin.write(". /root/block.sh < /dev/null\necho; echo --done--\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if line == "--done--\n":
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"{title}:\n{block}\n{''.join(printed)[-4000:]}\n{self._logs()}")

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(END_SECONDS)

    def _logs(self) -> str:
        logs = sorted((self.root / "run/units").glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


@dataclass(slots=True)
class Load:
    """Callers that read and write through nginx, each with connections of its own; they note each call that fails."""

    authority: Path
    token: str
    callers: int = 4
    calls: int = 0
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def running(self, title: str) -> Iterator[None]:
        is_over, before = Event(), self.calls
        threads = [Thread(target=self._call, args=(is_over, number)) for number in range(self.callers)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: self.calls > before + 20, "calls are answered")
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        sys.stdout.write(f"    {self.calls - before} calls, {len(self.failed)} failed\n")
        assert not self.failed, f"{title}: {self.failed[:5]}"

    def _call(self, is_over: Event, number: int) -> None:
        trusted = create_default_context(cafile=str(self.authority))
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        count, before = 0, self.calls
        while not is_over.wait(0.01):
            count += 1
            name = f"load-{number}-{count}-{before}"
            body = f'{{"name": "{name}", "tier": "starter", "admin_email": "a@b.com", "region": "us-east-1"}}'
            write = ("POST", "/v1/tenants", body, {201})
            read = ("GET", "/v1/tenants?limit=1", None, {200})
            method, path, sent, good = write if count % 4 == 0 else read
            connection = HTTPSConnection("stoa.example.com", context=trusted, timeout=20)
            try:
                connection.request(method, path, sent, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status not in good:
                    self.failed.append(f"{method} {answer.status} {text[:200]!r}")
            except (OSError, HTTPException) as error:
                self.failed.append(f"{method} {error!r}")
            finally:
                connection.close()
            self.calls += 1


@contextmanager
def no_load() -> Iterator[None]:
    yield
