"""Starts child processes that do not outlive this one, and ends them together with their own children."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

PR_SET_PDEATHSIG = 1  # prctl(2)
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Program:
    """A command and how to run it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None  # None: that of this process
    stop_signal: signal.Signals = signal.SIGTERM  # for an orderly end
    account: pwd.struct_passwd | None = None  # runs under this account; None: that of this process
    ready_text: str = ""  # appears in a line of its output when it is ready; "" if there is no such line


def spawn(program: Program, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start ``program`` in a session of its own.

    So Ctrl-C reaches only this process, which then ends the others in the right order. On Linux the kernel sends the
    child its stop signal when this process dies, even by SIGKILL. Call it from the main thread: the kernel watches the
    thread that started the child, not the process.
    """
    parent, account = os.getpid(), program.account

    def tie_to_parent() -> None:
        # Runs between fork and exec, after the change of account: that change would clear the setting.
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, program.stop_signal)
            # If the parent died before prctl(), no signal comes any more.
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(  # noqa: S603 - the commands are our own
        program.command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=program.environment,
        cwd="/" if account else None,  # the other account may not be allowed to enter our folder
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,
        preexec_fn=tie_to_parent,  # noqa: PLW1509 - only unsafe beside other threads, which we do not have
    )


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals, *, grace_seconds: float) -> None:
    """Send the stop signal, wait up to ``grace_seconds``, then kill what is left of the process's session."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    # Also after an orderly end: children that the process left behind are in its process group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
