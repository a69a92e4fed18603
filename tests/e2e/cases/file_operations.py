#!/usr/bin/python3
# What file systems are asked for beyond reading and writing, on a host directory that is passed through.
# needs: python3
# size: quick
import ctypes
import fcntl
import mmap
import os
import shutil

AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
libc = ctypes.CDLL(None, use_errno=True)


def attempt(what, call, *args):
    try:
        print(what, call(*args))
    except OSError as e:
        print(what, e.strerror)


def sizes():
    f = os.open("a", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(f, b"x" * 100000)
    os.ftruncate(f, 50000)
    print("truncated", os.fstat(f).st_size)
    os.posix_fallocate(f, 0, 60000)
    print("allocated", os.stat("a").st_size)
    m = mmap.mmap(f, 60000)
    m[0] = 65
    m.flush()
    print("mapped", os.pread(f, 2, 0))
    os.fsync(f)
    os.fdatasync(f)
    fcntl.lockf(f, fcntl.LOCK_EX)
    end = os.open("a", os.O_WRONLY | os.O_APPEND)
    os.write(end, b"END")
    print("appended", os.fstat(end).st_size, os.lseek(end, 0, os.SEEK_CUR))
    sparse = os.open("sparse", os.O_RDWR | os.O_CREAT)
    os.pwrite(sparse, b"z", 1 << 20)
    print("sparse", os.lseek(sparse, 0, os.SEEK_DATA), os.stat("sparse").st_blocks < 2048)


def names():
    os.link("a", "b")
    print("links", os.stat("a").st_nlink)
    os.rename("b", "c")
    os.symlink("c", "l")
    print("link", os.readlink("l"), os.path.samefile("l", "a"))
    os.mkfifo("fifo")
    os.mkdir("d")
    os.chmod("d", 0o2775)
    os.utime("c", (1, 2))
    print("times", os.stat("c").st_mtime, oct(os.stat("d").st_mode))
    attempt("rename onto itself", os.rename, "a", "c")
    attempt("rename a directory into itself", os.rename, "d", "d/e")
    attempt("remove a full directory", os.rmdir, ".")
    attempt("directory over a file", os.rename, "d", "a")
    attempt("mkdir twice", os.mkdir, "d")
    attempt("open through a file", os.open, "a/x", os.O_RDONLY)
    attempt("unlink a directory", os.unlink, "d")
    os.fsync(os.open("d", os.O_RDONLY | os.O_DIRECTORY))


def attributes():
    os.setxattr("a", "user.k", b"v")
    print("xattr", os.getxattr("c", "user.k"), os.listxattr("a"))
    attempt("create it again", os.setxattr, "a", "user.k", b"w", os.XATTR_CREATE)
    os.removexattr("a", "user.k")
    attempt("removed", os.getxattr, "a", "user.k")
    attempt("of a link", lambda: os.listxattr("l", follow_symlinks=False))


def nameless():
    f = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(f, b"no name yet")
    print("links", os.fstat(f).st_nlink)
    libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % f, AT_FDCWD, b"named", AT_SYMLINK_FOLLOW)
    print("named", open("named").read(), os.fstat(f).st_nlink)
    gone = os.open("gone", os.O_RDWR | os.O_CREAT, 0o444)
    os.unlink("gone")
    os.write(gone, b"still here")
    print("unlinked", os.pread(gone, 20, 0), os.fstat(gone).st_nlink)


def trees():
    shutil.copytree("/usr/include/linux", "tree")
    print("copied", sorted(os.listdir("tree")) == sorted(os.listdir("/usr/include/linux")))
    os.rename("tree", "moved")
    before = [(d, sorted(names)) for d, _, names in os.walk("moved")]
    print("read twice", before == [(d, sorted(names)) for d, _, names in os.walk("moved")])
    shutil.rmtree("moved")
    print("removed", os.path.exists("moved"), sorted(os.listdir(".")))


for step in (sizes, names, attributes, nameless, trees):
    step()
