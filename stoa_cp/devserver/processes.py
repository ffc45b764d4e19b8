"""Starts child processes that do not outlive us, and ends them with everything that they started."""

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
    """A command, and what there is to know about running it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None  # None: ours
    stop_signal: signal.Signals = signal.SIGTERM  # asks it to end in an orderly way
    account: pwd.struct_passwd | None = None  # that it runs under; None: ours
    ready_text: str = ""  # what one of its lines holds once it works; "" if it does not say


def spawn(program: Program, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start ``program`` in a session of its own: Ctrl-C reaches only us, and we end the others in their order.

    On Linux the child is asked to end when we die, however we die. Call it from the main thread: the kernel ties
    the child to the thread that started it.
    """
    parent, account = os.getpid(), program.account

    def tie_to_parent() -> None:
        # Between fork and exec, and after the change of account, which would undo it.
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, program.stop_signal)
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(  # noqa: S603 - the commands are our own
        program.command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=program.environment,
        cwd="/" if account else None,  # our folder may be closed to the other account
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,
        preexec_fn=tie_to_parent,  # noqa: PLW1509 - only unsafe beside other threads, which we do not have
    )


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals, *, grace_seconds: float) -> None:
    """Ask the process to end; kill what is left of its session when the grace is over."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
