"""What is measured. A bar is the ratio to native that sbox is to stay under; None means that the figure is only shown."""

# Name, bar, what it does; the program is bench/micro/NAME.c.
MICRO = [
    ("touch_map", 1.15, "map 1 MiB, touch it, unmap"),
    ("mmap", 5, "mmap and munmap of 4 KiB"),
    ("fork", 2.5, "fork, exit, wait"),
    ("spawn", 3, "vfork, exec, wait"),
    ("shell", 3, "sh -c 'exit 0'"),
    ("thread", 2.5, "thread create and join"),
    ("pread64k", 1.6, "pread of 64 KiB"),
    ("open_close", 14, "open and close, cached"),
    ("stat", 12, "stat, cached"),
    ("clock_gettime", 1.1, "clock_gettime"),
    ("getpid", None, "the cheapest system call"),
    ("read1", None, "read of one byte"),
    ("pipe_write", None, "write of 64 bytes to a pipe"),
    ("pipe_block", None, "write of 10 KiB to a process that reads"),
    ("pipe_pingpong", None, "a byte to another process and back"),
    ("futex_pingpong", None, "two threads wake each other"),
    ("signal_self", None, "send a signal to oneself"),
]

# Cases that run a micro program with arguments of their own: the program, and what follows the two numbers.
WITH_ARGUMENTS = {"shell": ("spawn", ["sh", "-c", "exit 0"])}

# Name and what it does; the program is bench/whole/NAME.sh.
WHOLE = [
    ("jansson_build", "configure and build a C library, -j2"),
    ("shell_loop", "300 × /bin/true from a shell"),
    ("python_start", "20 × python3 -c 'import …'"),
    ("find_usr", "find over /usr"),
    ("sqlite_insert", "200 transactions of sqlite"),
    ("compileall", "python's compileall"),
    ("git_add", "git add, commit, status of 5,000 files"),
    ("tar_share", "tar of /usr/share"),
]

# Cases of the third kind, each a function in system.py.
SYSTEM = [
    ("startup", None, "sandbox around /bin/true, start to end"),
    ("memory", 4 * 1024, "private memory of an idle sandbox, without the guest's"),
    ("idle_cpu", 0, "CPU time of an idle sandbox in 5 s"),
]
