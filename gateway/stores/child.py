"""What a server of ours does between fork and exec: leave the terminal, die with its parent, stop being root.

Postgres refuses to run as root. The usual way out (a new system user, folders opened to it) changes the machine.
Instead a root's Postgres runs in its own user namespace: inside it is somebody else and cannot tell, outside the kernel
still sees root as the owner of its files, so no folder is opened and no user is added. Where user namespaces are
forbidden (the default profile of container engines), it becomes ``nobody`` and keeps the one capability that it needs
to reach its own folder below 0700 parents. The namespace also helps a user without a name (`docker run --user 12345`),
whom initdb refuses.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import struct
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
NOBODY = 65534

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
    """Like ``leave_terminal_and_die_with_parent``, for a user whose child must be another one."""
    parent = os.getpid()
    inner_uid = _named_uid()
    # Capability sets as (effective, permitted, inheritable), low words first; then the unused high words.
    only_dac_override = struct.pack("6I", *(1 << CAP_DAC_OVERRIDE,) * 3, 0, 0, 0)
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)

    def prepare() -> None:
        os.setsid()
        if in_namespace:
            _enter_user_namespace(inner_uid)
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


def spawn(
    command: Sequence[str],
    prepare: Callable[[], None],
    *,
    env: Mapping[str, str],
    stdin: int,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process that runs ``prepare`` between fork and exec. Raises OSError or subprocess.SubprocessError."""
    with _forking():
        return subprocess.Popen(  # noqa: S603  our own modules, and binaries of installed wheels
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            pass_fds=pass_fds,
            preexec_fn=prepare,  # noqa: PLW1509  see _forking
        )


def has_user_namespaces() -> bool:
    """Whether this process may make a user namespace: tried in a child, because the files in /proc do not tell."""
    with _forking():
        pid = os.fork()
        if pid == 0:
            try:
                _enter_user_namespace(NOBODY)
            except OSError:
                os._exit(1)
            os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@contextlib.contextmanager
def _forking() -> Iterator[None]:
    """Fork in peace: Python warns of forks beside threads, since a lock that one holds stays locked in the child.

    What runs in our children until exec are system calls by number and small files of /proc; they take no lock.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        yield


def has_name() -> bool:
    """Whether the user database knows who we are."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _named_uid() -> int:
    """A user other than root who has a name: to be inside a namespace, where it gives no rights outside."""
    others = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0]
    return NOBODY if NOBODY in others or not others else others[0]


def _enter_user_namespace(inner_uid: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inner_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


def _die_with(parent: int, death_signal: int) -> None:
    _checked(_libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # it died before we asked to be told
        os.kill(os.getpid(), signal.SIGKILL)


def _checked(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
