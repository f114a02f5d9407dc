"""What a server of ours does between fork and exec: leave the terminal, die with its parent, stop being root.

Postgres refuses to run as root. The usual way out (a new system user, folders opened to it) changes the machine.
Instead a root's Postgres runs in its own user namespace: inside it is uid 1000 and cannot tell, outside the kernel
still sees root as the owner of its files, so no folder is opened and no user is added. Where user namespaces are
forbidden (the default profile of container engines), it becomes ``nobody`` and keeps the one capability that it needs
to reach its own folder below 0700 parents.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
NOBODY = 65534
INNER_UID = 1000

_libc = ctypes.CDLL(None, use_errno=True)


def leave_terminal_and_die_with_parent(death_signal: int) -> Callable[[], None]:
    """A ``preexec_fn``: own session (Ctrl-C is not ours), and ``death_signal`` when the parent's thread dies.

    The kernel watches the *thread* that forked: start children from a thread that lives as long as they should.
    """
    parent = os.getpid()

    def prepare() -> None:
        os.setsid()
        _die_with(parent, death_signal)

    return prepare


def as_another_user(death_signal: int, *, in_namespace: bool) -> Callable[[], None]:
    """Like ``leave_terminal_and_die_with_parent``, for a root whose child must not be root."""
    parent = os.getpid()
    # Capability sets as (effective, permitted, inheritable), low words first; then the unused high words.
    only_dac_override = struct.pack("6I", *(1 << CAP_DAC_OVERRIDE,) * 3, 0, 0, 0)
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)

    def prepare() -> None:
        os.setsid()
        if in_namespace:
            _enter_user_namespace()
        else:
            _checked(_libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl")
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            _checked(_libc.capset(header, only_dac_override), "capset")
            _checked(_libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "prctl")
        # A change of credentials clears the death signal, so it comes last.
        _die_with(parent, death_signal)

    return prepare


def has_user_namespaces() -> bool:
    """Whether this process may make a user namespace: tried in a child, because the files in /proc do not tell."""
    pid = os.fork()
    if pid == 0:
        try:
            _enter_user_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INNER_UID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INNER_UID} {gid} 1")


def _die_with(parent: int, death_signal: int) -> None:
    _checked(_libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # it died before we asked to be told
        os.kill(os.getpid(), signal.SIGKILL)


def _checked(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
