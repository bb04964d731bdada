"""Become another program that ends with its parent, and, when asked, as a user without root's rights.

Run as a script in front of every child of the stack: ``python -I -S launch.py --parent 12 … -- program arguments``.
A script and not a ``preexec_fn``, because Python code between fork and exec may deadlock in a process with threads.
Standard library only, so that it starts in about 15 ms.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> None:
    """Apply the options and replace this process by the program."""
    options = _parse(arguments)
    if options.uid is not None:
        _drop_root(options.uid, options.gid, options.capability)
    if options.death_signal:
        _end_with_parent(options.death_signal, options.parent)
    os.execvp(options.program[0], options.program)  # noqa: S606 - replacing this process is the purpose


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=0)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", type=int)
    parser.add_argument("program", nargs="+")
    return parser.parse_args(arguments)


def _end_with_parent(death_signal: int, parent: int) -> None:
    if sys.platform != "linux":
        return  # elsewhere the next start finds and ends what was left over
    _libc_call("prctl", PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the line above: no process would send the signal
        os.kill(os.getpid(), signal.SIGKILL)


def _drop_root(uid: int, gid: int, capability: int | None) -> None:
    if capability is not None:
        _libc_call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # access(2), by which PostgreSQL's programs look for each other, disregards capabilities otherwise.
        with contextlib.suppress(OSError):  # without CAP_SETPCAP: they find each other where everyone may enter
            _libc_call("prctl", PR_SET_SECUREBITS, _securebits() | SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        _keep_capability(capability)


def _keep_capability(capability: int) -> None:
    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two 32-bit halves of (effective, permitted, inheritable); the capabilities used here lie in the lower half.
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _libc_call("capset", header, data)
    _libc_call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _securebits() -> int:
    bits: int = ctypes.CDLL(None).prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)
    return max(0, bits)


def _libc_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1:])
