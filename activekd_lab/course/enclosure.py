"""Shut this process in before it runs a learner's code: it writes nothing, reads only Python, has no network, no child.

Layers, each of which holds by itself: `resource` limits; Landlock (Linux 5.13) lets only named places be read; a
seccomp filter refuses new processes, sockets, signals and changes to files; Python's audit hook refuses the same
politely, and takes note. The first three bind native code as well, the hook does not. `enclose` returns what could not
be had, to be said.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from typing import Any

_NO_NEW_PRIVILEGES, _SECCOMP, _DEATH_SIGNAL = 38, 22, 1  # options of prctl
_REFUSED_CALLS = {  # of the kernel: its numbers on x86_64 and aarch64
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "unshare": (272, 97),
    "setns": (308, 268), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "io_uring_setup": (425, 425), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    # what Landlock leaves free: a file's mode, owner, times, attributes, and (before Linux 6.2) its length
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469), "truncate": (76, 45),
    "ftruncate": (77, 46),
    # memory that outlives the process
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "memfd_create": (319, 279),
}  # fmt: skip
_ALLOW, _DENY = 0x7FFF0000, 0x00050001  # answers of the filter; EPERM
_SOME = (  # the same numbers, which argument decides, and its values of which the answer is this one
    ((72, 25), 1, (8, 10, 15), _DENY),  # fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX make the kernel signal for us
    ((16, 29), 1, (0x8901, 0x8902), _DENY),  # ioctl: FIOSETOWN, SIOCSPGRP, too
    ((302, 261), 0, (0,), _ALLOW),  # prlimit64: of this process, no other
)
_MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}  # place above, audit number, clone
_CLONE3, _THREAD = 435, 0x10000
_READABLE = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/zero")
_QUIET = ("/proc/", "/sys/", "/etc/", "/dev/")  # libraries look there by themselves: refused without a note
_REFUSED = ("os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.kill", "pty.", "socket.",
            "subprocess.", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link",
            "os.symlink", "os.truncate", "os.utime", "os.setxattr", "os.removexattr", "resource.prlimit", "shutil.",
            "signal.pthread_kill", "syslog.")  # fmt: skip


def enclose(readable: Sequence[str], *, memory: int, seconds: int) -> tuple[list[str], list[str]]:
    """Enclose this process for good.

    Args:
        readable: files and folders that it may read, beside the system's libraries.
        memory: bytes that it may take beyond what it has.
        seconds: of processor time.

    Returns:
        layers that this system does not offer, in words; and the list that attempts will be noted in.
    """
    places = [os.path.realpath(place) for place in (*_READABLE, *readable) if os.path.exists(place)]
    missing = []
    _limit(memory, seconds)
    _drop_privileges()
    if not _landlock(places):
        missing.append("reading files is refused by Python's own hook only (no Landlock)")
    if not _seccomp():
        missing.append("network and new processes are refused by Python's own hook only (no seccomp)")
    return missing, _watch(places)


def _limit(memory: int, seconds: int) -> None:
    import resource  # noqa: PLC0415  (not on Windows)

    def most(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))

    for kind, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        most(kind, value)
    most(resource.RLIMIT_NOFILE, 256)
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # pages: whole address space first
            most(resource.RLIMIT_AS, int(file.read().split()[0]) * resource.getpagesize() + memory)
    else:
        most(resource.RLIMIT_NPROC, 0)  # threads count on Linux, where the filter below refuses processes


def _kernel(name: str, *arguments: Any) -> int:
    """Call a function of the C library; whole numbers are passed in full width."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(getattr(ctypes.CDLL(None), name)(*wide))


def _drop_privileges() -> None:
    if sys.platform != "linux":
        return
    _kernel("prctl", _DEATH_SIGNAL, 9, 0, 0, 0)  # ends with the process that started it
    _kernel("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _kernel("capset", struct.pack("<Ii", 0x20080522, 0), bytes(24))  # what root may, it may no more


def _landlock(places: Sequence[str]) -> bool:
    """Let these places be read and nothing else; True if the kernel does so."""
    if sys.platform != "linux":
        return False
    version = _kernel("syscall", 444, None, 0, 1)
    if version < 1:
        return False
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    size = 8 if version < 4 else 16 if version < 6 else 24  # files, + TCP ports, + signals
    rules = _kernel("syscall", 444, struct.pack("<QQQ", rights, 3, 3)[:size], size, 0)
    if rules < 0:
        return False
    for place in places:
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
        read = 0b1100 if os.path.isdir(place) else 0b100  # READ_FILE, and READ_DIR of a folder
        _kernel("syscall", 445, rules, 1, struct.pack("<Qi", read, handle), 0)
        os.close(handle)
    handle = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    _kernel("syscall", 445, rules, 1, struct.pack("<Qi", 0b110, handle), 0)  # read and write
    os.close(handle)
    done = _kernel("syscall", 446, rules, 0) == 0
    os.close(rules)
    return done


def _seccomp() -> bool:
    """Refuse new processes, sockets, signals and what is said above; True if the kernel does so."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES or sys.byteorder != "little":
        return False
    machine, audit, clone = _MACHINES[platform.machine()]
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, deny, kill = _ALLOW, _DENY, 0x80000000
    program = [(load, 0, 0, 4), (equal, 1, 0, audit), (answer, 0, 0, kill), (load, 0, 0, 0)]
    program += [(at_least, 0, 1, 0x40000000), (answer, 0, 0, deny)]  # the x32 interface has other numbers
    program += [(equal, 0, 1, _CLONE3), (answer, 0, 0, 0x00050000 | 38)]  # ENOSYS: the C library falls back to clone
    for call in filter(None, (numbers[machine] for numbers in _REFUSED_CALLS.values())):
        program += [(equal, 0, 1, call), (answer, 0, 0, deny)]
    for numbers, argument, values, hit in _SOME:
        program += [(equal, 0, len(values) + 3, numbers[machine]), (load, 0, 0, 16 + 8 * argument)]
        program += [(equal, len(values) - i, 0, value) for i, value in enumerate(values)]
        program += [(answer, 0, 0, allow if hit == deny else deny), (answer, 0, 0, hit)]
    program += [(equal, 0, 3, clone), (load, 0, 0, 16), (any_bit, 1, 0, _THREAD), (answer, 0, 0, deny)]
    code = b"".join(struct.pack("<HBBI", *line) for line in [*program, (answer, 0, 0, allow)])
    buffer = ctypes.create_string_buffer(code, len(code))
    lines = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    return _kernel("prctl", _SECCOMP, 2, ctypes.c_char_p(lines), 0, 0) == 0


def _watch(places: Sequence[str]) -> list[str]:
    """Refuse by Python's audit hook, which cannot be taken away, and return the list of what was tried."""
    tried: list[str] = []
    roots = tuple(place.rstrip("/") + "/" for place in places)
    path_of, writes = os.path.realpath, os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(given[0], str | bytes):
            path = path_of(os.fsdecode(given[0]))
            known = path == "/dev/null" or (f"{path}/".startswith(roots) and not (given[2] or 0) & writes)
            if not known:
                refuse(f"open {path}", note=not path.startswith(_QUIET))
        elif event in ("os.listdir", "os.scandir") and isinstance(given[0], str | bytes):
            if not f"{path_of(os.fsdecode(given[0]))}/".startswith(roots):
                refuse("list a folder", note=False)
        elif event.startswith(_REFUSED):
            refuse(event, note=True)

    def refuse(what: str, *, note: bool) -> None:
        if note and len(tried) < 5 and what not in tried:
            tried.append(what[:200])
        raise PermissionError(f"an exercise may not {what}")

    sys.addaudithook(hook)
    return tried
