"""Stands in for systemd in the guide's installation, where there is no init: starts, stops and reloads units.

It is copied to /usr/local/sbin/systemctl of a run's machine, and reads the units of the guide and of Debian. Of the
sandbox it does the account and the folder in /run; `systemd-analyze verify` has read the rest. Standard library only.
"""

import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
STATE = Path("/run/units")
Settings = dict[str, list[str]]


def main(verb: str, *names: str) -> None:
    STATE.mkdir(exist_ok=True)
    for name in (each for each in names if not each.startswith("--")):
        match verb:
            case "start" | "enable":
                start(name)
            case "restart":
                stop(name)
                start(name)
            case "stop":
                stop(name)
            case "reload":
                reload(name)
            case "is-active":
                os.kill(pid_of(name), 0)
            case _:
                sys.exit(f"systemctl {verb} is not understood here")


def settings_of(name: str) -> Settings:
    """Return the lines of the unit's section Service, with %i and variables of systemd replaced."""
    prefix, at, instance = name.removesuffix(".service").partition("@")
    file = f"{prefix}{at}.service"
    text = next(folder / file for folder in FOLDERS if (folder / file).exists()).read_text().replace("\\\n", " ")
    section = text.partition("[Service]")[2].partition("\n[")[0].replace("%i", instance).replace("%I", instance)
    found: Settings = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def start(name: str) -> None:
    unit = settings_of(name)
    user = pwd.getpwnam(unit.get("User", ["root"])[0])
    for text in unit.get("RuntimeDirectory", []):
        folder = Path("/run") / text
        folder.mkdir(mode=0o755, exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
    environment = environment_of(unit, user.pw_dir)
    folder = unit.get("WorkingDirectory", ["/"])[0]
    for command in unit.get("ExecStartPre", []):
        subprocess.run(arguments(command), check=True)
    account = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    account += ["--no-new-privs"] if unit.get("NoNewPrivileges") else []
    command = [*(account if user.pw_uid else []), *arguments(unit["ExecStart"][0])]
    with (STATE / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=os.path.realpath(folder), env=environment, stdout=log, stderr=log, start_new_session=True
        )
    if unit.get("Type") == ["forking"]:
        if process.wait(60):
            sys.exit(f"{name} did not start: {(STATE / f'{name}.log').read_text()[-2000:]}")
    else:
        (STATE / f"{name}.pid").write_text(str(process.pid))


def environment_of(unit: Settings, home: str) -> dict[str, str]:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": home, "LANG": "C.UTF-8"}
    files = [Path(text.lstrip("-")) for text in unit.get("EnvironmentFile", [])]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    for line in [*lines, *unit.get("Environment", [])]:
        if "=" in line and not line.startswith("#"):
            key, _equals, value = line.partition("=")
            environment[key] = value
    return environment


def stop(name: str) -> None:
    unit = settings_of(name)
    if unit.get("Type") == ["forking"]:
        for command in unit.get("ExecStop", []):
            subprocess.run(arguments(command), check=False)
        return
    pid = pid_of(name)
    if not pid:
        return
    seconds = float(unit.get("TimeoutStopSec", ["90"])[0])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + (seconds or 90)
    while is_running(pid):
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            sys.exit(f"{name} did not end within {seconds:.0f} s")
        time.sleep(0.02)
    for text in unit.get("RuntimeDirectory", []):  # systemd removes it, and with it the counters of /metrics
        shutil.rmtree(Path("/run") / text, ignore_errors=True)
    (STATE / f"{name}.pid").unlink()


def reload(name: str) -> None:
    unit = settings_of(name)
    pid = str(pid_of(name) or "")
    for command in unit["ExecReload"]:
        subprocess.run(arguments(command.replace("$MAINPID", pid)), check=True)


def pid_of(name: str) -> int:
    file = STATE / f"{name}.pid"
    return int(file.read_text()) if file.exists() else 0


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def arguments(command: str) -> list[str]:
    return shlex.split(command.lstrip("-+!"))


if __name__ == "__main__":
    main(*sys.argv[1:])
