"""Ways out of the process: to files, the network, other processes and the rest of the kernel."""

from __future__ import annotations

from agentforge.tools.sandbox.escape import Escape


def ways_out() -> list[Escape]:
    return [*_reading(), *_writing(), *_network(), *_processes(), *_kernel()]


def _reading() -> list[Escape]:
    return [
        Escape("open the passwords", 'if "root:" in open("/etc/passwd").read(): print(proof)', True),
        Escape("open a secret", "print(open(secret_file).read())", True, ("refused",)),
        Escape("os.open a secret", "print(os.read(os.open(secret_file, 0), 99))", True, ("refused",)),
        Escape("libc.open a secret", _LIBC_READ, True),
        Escape("openat2 a secret", "kernel('openat2', -100, secret_file.encode(), bytes(24), 24)"),
        Escape("FileIO", "import _io\nprint(_io.FileIO(secret_file).readall())", True, ("refused",)),
        Escape("open_code", "import _io\nprint(_io.open_code(secret_file).read())", True, ("refused",)),
        Escape("a loader's get_data", _LOADER, True, ("refused",)),
        Escape("own command line", 'if "python" in open("/proc/self/cmdline").read(): print(proof)', True),
        Escape("own environment's file", 'print(open("/proc/self/environ").read())', True, ("refused",)),
        Escape("own memory's file", 'if open("/proc/self/mem", "r+b"): print(proof)', True, ("refused",)),
        Escape("launcher's environment", 'if open(f"/proc/{launcher}/environ"): print(proof)', True, ("refused",)),
        Escape("launcher's memory", 'if open(f"/proc/{launcher}/mem"): print(proof)', False, ("refused",)),
        Escape("list the root", 'if os.listdir("/"): print(proof)', True, ("refused",)),
        Escape("getdents of descriptors", _GETDENTS),
        Escape("stat a secret", "os.stat(secret_file)\nprint(proof)", True, ("refused",)),
        Escape("readlink", "os.readlink('/proc/self/exe')\nprint(proof)", True, ("refused",)),
        Escape("os.environ", "print(dict(os.environ))", True),
        Escape("getenv of libc", _GETENV, True),
        Escape("inherited descriptors", _INHERITED, True),
        Escape("inherited descriptors, mapped", _INHERITED_MAPPED, True),
        Escape("handle of a file", _HANDLE),
        Escape("load a library", "ctypes.CDLL('libresolv.so.2')\nprint(proof)", True, ("error",)),
        Escape("working folder", "os.getcwd()\nprint(proof)", True, ("refused",)),
    ]


_LIBC_READ = """
room = ctypes.create_string_buffer(99)
libc.read(libc.open(secret_file.encode(), 0), room, 99)
print(room.value)
"""
_LOADER = """
import _frozen_importlib_external as external
print(external.SourceFileLoader("m", secret_file).get_data(secret_file))
"""
_GETDENTS = """
for descriptor in range(64):
    kernel("getdents64", descriptor, ctypes.create_string_buffer(4096), 4096)
"""
_GETENV = """
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"AGENTFORGE_CANARY"))
"""
_INHERITED = """
for descriptor in range(3, 256):
    room = ctypes.create_string_buffer(99)
    libc.pread(descriptor, room, 99, 0)
    if room.value: print(room.value)
"""
_INHERITED_MAPPED = """
for descriptor in range(3, 256):
    at = libc.mmap(None, 4096, 1, 2, descriptor, 0)
    if at and at != 2**64 - 1: print(ctypes.string_at(at, 64))
"""
_HANDLE = """
room = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder), 200)
kernel("name_to_handle_at", -100, b"/", room, ctypes.byref(ctypes.c_int()), 0)
"""


def _writing() -> list[Escape]:
    return [
        Escape("write a file", 'open(folder + "/new", "w").write("x")', True, ("refused",)),
        Escape("libc.creat", 'libc.creat((folder + "/new").encode(), 0o600)', True),
        Escape("overwrite a secret", 'open(secret_file, "w")', True, ("refused",)),
        Escape("truncate a secret", "os.truncate(secret_file, 0)", True, ("refused",)),
        Escape("delete a secret", "os.unlink(secret_file)", True, ("refused",)),
        Escape("rename a secret", 'os.rename(secret_file, folder + "/new")', True, ("refused",)),
        Escape("symbolic link", 'os.symlink("/etc", folder + "/new")', True, ("refused",)),
        Escape("hard link", 'os.link(secret_file, folder + "/new")', True, ("refused",)),
        Escape("make a folder", 'os.mkdir(folder + "/new")', True, ("refused",)),
        Escape("make a pipe with a name", 'os.mkfifo(folder + "/new")', True, ("refused",)),
        Escape("change rights", "os.chmod(secret_file, 0o777)", True, ("refused",)),
        Escape("anonymous file", 'kernel("memfd_create", b"x", 0)', True),
        Escape("trace to a file", 'import faulthandler\nfaulthandler.enable(open(folder + "/new", "w"))', True),
    ]


def _network() -> list[Escape]:
    return [
        Escape("TCP", "connect(2, 1, inet(tcp_port))", True),
        Escape("UDP", "connect(2, 2, inet(udp_port))", True),
        Escape("UNIX socket", "connect(1, 1, unix(unix_path.encode()))", True),
        Escape("abstract UNIX socket", "connect(1, 1, unix(b'\\0' + abstract.encode()))", True),
        Escape("pair of sockets", "proven(libc.socketpair(1, 1, 0, (ctypes.c_int * 2)()))", True),
        Escape("netlink", "proven(libc.socket(16, 3, 0))", True),
        Escape("raw socket", "proven(libc.socket(2, 3, 1))"),
        Escape("packet socket", "proven(libc.socket(17, 3, 0))"),
        Escape("sockets of every family", "for family in range(46): proven(libc.socket(family, 1, 0))"),
        Escape("name look-up", "proven(-abs(libc.getaddrinfo(b'localhost', None, None, bytes(8))))", True),
        Escape("module socket", "import socket\nprint(proof)", True, ("refused",)),
    ]


def _processes() -> list[Escape]:
    return [
        Escape("exec", "os.execv('/bin/echo', ['echo', proof])", True, ("refused",)),
        Escape("system", "os.system('echo ' + proof)", True),
        Escape(
            "posix_spawn", "os.waitpid(os.posix_spawn('/bin/echo', ['echo', proof], {}), 0)", True, ("refused",)
        ),
        Escape("fork", "os.fork()\nprint(proof)", True, ("refused",)),
        Escape("fork bomb", _FORKS),
        Escape("daemon", _DAEMON),
        Escape("clone", "kernel('clone', 17, 0, 0, 0, 0)"),
        Escape("clone3", "kernel('clone3', (17 << 256).to_bytes(64, sys.byteorder), 64)"),
        Escape("vfork", "proven(libc.vfork())"),
        Escape("threads bomb", _THREADS, True),
        Escape("pthread_create", _PTHREAD, True),
        Escape("file that is executed from memory", _MEMORY_FILE),
        Escape("kill a process", "os.kill(victim, 9)", True, ("refused",)),
        Escape("kill a group", "os.killpg(victim, 9)", True, ("refused",)),
        Escape("tgkill", "kernel('tgkill', victim, victim, 9)", True),
        Escape("stop a process", "libc.kill(victim, 19)", True),
        Escape("reach the launcher", "os.kill(launcher, 0)\nprint(proof)", True, ("refused",)),
        Escape("reach the parent", "os.kill(os.getppid(), 0)\nprint(proof)", True, ("refused",)),
        Escape("reach the own group", "os.killpg(0, 0)\nprint(proof)", True, ("refused",)),
        Escape("reach everybody", "proven(libc.kill(-1, 0))", True),
        Escape("handle of a process", "kernel('pidfd_open', victim, 0)"),
        Escape("leave the session", "os.setsid()\nprint(proof)", False, ("refused",)),
        Escape("leave the group", "proven(libc.setpgid(0, 0))", True),
        Escape("ptrace a process", "proven(libc.ptrace(16, victim, 0, 0))"),
        Escape("be ptraced", "proven(libc.ptrace(0, 0, 0, 0))", True),
        Escape("another's memory", _REMOTE_READ),
        Escape("compare with the launcher", "kernel('kcmp', launcher, launcher, 1, 0, 0)"),
    ]


_FORKS = """
for _ in range(6):
    try: os.fork()
    except OSError: break
else:
    import time
    print(proof)
    time.sleep(20)
"""
_DAEMON = """
if libc.fork() == 0:
    libc.setsid()
    if libc.fork() == 0:
        import time
        time.sleep(1)
        open(folder + "/new", "w")
        time.sleep(20)
"""
_THREADS = """
import _thread, time
for _ in range(50):
    _thread.start_new_thread(print, (proof,))
time.sleep(0.1)
"""
_PTHREAD = """
started = libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, ctypes.cast(libc.getpid, ctypes.c_void_p), None)
proven(-abs(started))
"""
_MEMORY_FILE = """
descriptor = libc.memfd_create(b"x", 0)
libc.write(descriptor, b"#!/bin/echo " + proof.encode(), 99)
libc.fexecve(descriptor, (ctypes.c_char_p * 2)(b"x"), (ctypes.c_char_p * 1)())
proven(descriptor)
"""
_REMOTE_READ = """
here = (ctypes.c_ulong * 2)(ctypes.addressof(ctypes.create_string_buffer(64)), 64)
there = (ctypes.c_ulong * 2)(id(here), 64)
proven(kernel("process_vm_readv", launcher, here, 1, there, 1, 0))
"""


def _kernel() -> list[Escape]:
    return [
        Escape("new user namespace", "proven(libc.unshare(0x10000000))"),
        Escape("new mount namespace", "proven(libc.unshare(0x20000))"),
        Escape("enter namespaces", "for n in range(64): proven(libc.setns(n, 0))"),
        Escape("mount", "proven(libc.mount(b'x', folder.encode(), b'tmpfs', 0, None))"),
        Escape("unmount", "proven(libc.umount2(folder.encode(), 2))"),
        Escape("move a mount", "kernel('move_mount', -100, b'/', -100, folder.encode(), 0)"),
        Escape("chroot", "proven(libc.chroot(b'/proc/1/root'))"),
        Escape("pivot_root", "kernel('pivot_root', b'.', b'.')"),
        Escape("become root", "proven(libc.setuid(0))"),
        Escape(
            "rights back",
            "proven(libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()))",
            True,
        ),
        Escape("raise own limits", _RLIMITS, True),
        Escape("another's limits", "proven(libc.prlimit(victim, 7, None, (ctypes.c_ulong * 2)()))", True),
        Escape("outlive the launcher", "proven(libc.prctl(1, 0, 0, 0, 0))", True),
        Escape("prctl for dumps", "proven(libc.prctl(4, 1, 0, 0, 0))", True),
        Escape("a second filter", _SECOND_FILTER, True),
        Escape("executable memory", _EXECUTABLE, True),
        Escape("memory made executable", _MADE_EXECUTABLE, True),
        Escape("stack made executable", _STACK_EXECUTABLE, True),
        Escape("readable is executable", "proven(libc.personality(0x400000))"),
        Escape("shared memory", "proven(libc.shmget(0, 4096, 0o1777))"),
        Escape("io_uring", "kernel('io_uring_setup', 1, bytes(120))"),
        Escape("asynchronous input", "kernel('io_setup', 1, ctypes.byref(ctypes.c_ulong()))"),
        Escape("userfaultfd", "kernel('userfaultfd', 1)"),
        Escape("bpf", "kernel('bpf', 0, bytes((1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1)) + bytes(107), 120)"),
        Escape("performance counters", "kernel('perf_event_open', bytes(128), 0, -1, -1, 0)"),
        Escape("key ring", "kernel('add_key', b'user', b'canary', b'x', 1, -1)"),
        Escape("own key ring", "kernel('keyctl', 0, -3, 1)"),
        Escape(
            "another ABI's numbers", "for n in range(600): proven(libc.syscall(0x40000000 + n, 0, 0, 0, 0, 0, 0))"
        ),
        Escape("duplicate descriptors", "os.dup(1)\nprint(proof)", True, ("refused",)),
        Escape("pipes", "os.pipe()\nprint(proof)", True, ("refused",)),
        Escape("close the output", "os.close(1)\nos.write(2, proof.encode())", False, ("refused",)),
        Escape("watch files", "proven(libc.inotify_init())", True),
        Escape("scheduling", "os.sched_setaffinity(0, {0})\nprint(proof)", False, ("refused",)),
        Escape("host name", "proven(libc.sethostname(b'x', 0))"),
    ]


_RLIMITS = """
import resource
for limit in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
    resource.setrlimit(limit, (resource.getrlimit(limit)[1],) * 2)
    print(proof)
"""
_SECOND_FILTER = """
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))
libc.prctl(38, 1, 0, 0, 0)
proven(libc.prctl(22, 2, ctypes.byref(Program(1, bytes((6, 0, 0, 0, 0, 0, 0xff, 0x7f)))), 0, 0))
"""
_EXECUTABLE = """
at = libc.mmap(None, 4096, 7, 0x22, -1, 0)
if at != 2**64 - 1: print(proof)
"""
_MADE_EXECUTABLE = """
at = libc.mmap(None, 4096, 3, 0x22, -1, 0)
proven(libc.mprotect(ctypes.c_void_p(at), 4096, 5))
"""
_STACK_EXECUTABLE = """
page = ctypes.addressof(ctypes.create_string_buffer(9)) & ~4095
proven(libc.mprotect(ctypes.c_void_p(page), 4096, 7))
"""
