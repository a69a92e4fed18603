#!/bin/sh
# needs: /usr/bin/python3
# size: quick
# python3: mmap, tempfile, shutil, os, glob, zip and tar files, locks, sqlite.
cat > work.py <<'PY'
import contextlib, errno, fcntl, filecmp, glob, gzip, hashlib, io, mmap, os, pathlib, shutil, sqlite3, stat, tarfile, tempfile, zipfile

print("== mmap")
with open("map", "w+b") as f:
    f.truncate(10000)
    with mmap.mmap(f.fileno(), 0) as m:
        m[5000:5005] = b"hello"
        m.flush()
        print(m.find(b"hello"), m.size(), os.pread(f.fileno(), 5, 5000))
        m.resize(20000)
        m[19999] = 7
        m.move(0, 5000, 5)
        print(m[:5], os.fstat(f.fileno()).st_size, m.madvise(mmap.MADV_DONTNEED))
    with mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_COPY) as m:
        m[0] = 1
        print(os.pread(f.fileno(), 1, 0))
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ, offset=4096) as m:
        print(len(m), hashlib.sha256(m).hexdigest()[:16])
with mmap.mmap(-1, 8192) as m:
    if os.fork() == 0:
        m.write(b"from the child")
        os._exit(0)
    os.wait()
    print(m[:14])

print("== tempfile")
with tempfile.TemporaryDirectory(dir=".") as folder, tempfile.NamedTemporaryFile(dir=folder) as named:
    print(os.path.exists(named.name), len(os.listdir(folder)), oct(os.stat(folder).st_mode), oct(os.stat(named.name).st_mode))
print(os.path.exists(folder))
with tempfile.TemporaryFile() as f, tempfile.SpooledTemporaryFile(max_size=10) as s:
    f.write(b"x" * 100000), s.write(b"y" * 100)
    print(f.tell(), f.seek(50), len(f.read()), s.tell(), os.fstat(f.fileno()).st_nlink)
descriptor, name = tempfile.mkstemp()
os.close(descriptor), os.unlink(name)

print("== trees")
base = pathlib.Path("tree")
for i in range(5):
    for j in range(5):
        (base / f"d{i}" / f"e{j}").mkdir(parents=True)
        (base / f"d{i}" / f"e{j}" / "file.txt").write_text(f"{i} {j}\n" * 50)
(base / "link").symlink_to("d1"), os.link(base / "d0/e0/file.txt", base / "hard")
shutil.copytree(base, "copy", symlinks=True)
print(sum(len(files) for _, _, files in os.walk("copy")), filecmp.dircmp("tree", "copy").diff_files, len(glob.glob("copy/**/*.txt", recursive=True)))
shutil.move("copy/d0", "moved"), shutil.rmtree("copy/d1"), os.replace("moved/e0/file.txt", "moved/e1/file.txt")
print(sorted(os.listdir("copy")), sorted(p.as_posix() for p in pathlib.Path("moved").rglob("*")))
shutil.copystat("tree/d2", "copy/d2"), shutil.copy2("tree/hard", "hard2"), shutil.copyfile("tree/hard", "hard3")
print(os.path.samefile("tree/hard", "tree/d0/e0/file.txt"), os.stat("hard2").st_mtime == os.stat("tree/hard").st_mtime)
print(shutil.which("sh"), shutil.disk_usage(".").total > 0, os.path.realpath("tree/link/../d2").split("/")[-2:])
for suffix, kind in ((".zip", "zip"), (".tar.xz", "xztar"), (".tar.gz", "gztar")):
    shutil.make_archive("archive", kind, "tree")
    shutil.unpack_archive("archive" + suffix, "un" + kind)
    print(kind, filecmp.dircmp("tree", "un" + kind).left_only, sum(1 for _ in pathlib.Path("un" + kind).rglob("*")))
with gzip.open("t.gz", "wt") as f:
    f.write("text " * 10000)
print(len(gzip.open("t.gz").read()), zipfile.ZipFile("archive.zip").testzip(), len(tarfile.open("archive.tar.xz").getnames()))

print("== os")
os.chmod("hard2", 0o640), os.utime("hard2", ns=(1, 2)), os.truncate("hard2", 10)
s = os.stat("hard2")
print(oct(s.st_mode), s.st_atime_ns, s.st_mtime_ns > 2, s.st_size, stat.filemode(os.lstat("tree/link").st_mode))
for call in (lambda: os.open("none", os.O_RDONLY), lambda: os.mkdir("tree"), lambda: os.rmdir("tree"), lambda: os.listdir("map"),
             lambda: os.readlink("map"), lambda: os.rename("none", "x"), lambda: os.unlink("tree"), lambda: os.read(99, 1)):
    try:
        print("no error", call())
    except OSError as error:
        print(errno.errorcode[error.errno], error.strerror)
with os.scandir("tree") as entries:
    print(sorted((e.name, e.is_dir(), e.is_symlink(), e.stat(follow_symlinks=False).st_size if e.is_file() else 0) for e in entries))
a, b = os.open("map", os.O_RDWR), os.open("out", os.O_RDWR | os.O_CREAT)
print(os.sendfile(b, a, 0, 5000), os.copy_file_range(a, b, 100), os.lseek(b, 0, os.SEEK_CUR), os.posix_fallocate(b, 0, 9000), os.fstat(b).st_size)
print(os.preadv(a, [bytearray(3), buffer := bytearray(2)], 5002), buffer, os.pwritev(b, [b"ab", b"cd"], 0), os.get_terminal_size.__name__)
read, write = os.pipe2(os.O_CLOEXEC)
print(os.splice(a, write, 10, offset_src=5000), os.read(read, 20), os.get_inheritable(read), os.dup2(read, 50), os.get_inheritable(50))
fcntl.flock(a, fcntl.LOCK_EX)
fcntl.lockf(b, fcntl.LOCK_EX, 10, 5)
if os.fork() == 0:
    other = os.open("map", os.O_RDWR)
    for lock in (lambda: fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB), lambda: fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 8)):
        try:
            print("got it", lock())
        except BlockingIOError as error:
            print(error.strerror, flush=True)
    os._exit(0)
os.wait()
print(os.memfd_create("m") > 0, len(os.urandom(20)), os.getcwd() == os.environ["HOME"], os.umask(0o22) >= 0, os.cpu_count() > 0)

print("== sqlite")
for journal in ("delete", "wal", "memory"):
    with contextlib.closing(sqlite3.connect(f"{journal}.db")) as db:
        print(db.execute(f"pragma journal_mode={journal}").fetchone())
        db.execute("create table t (id integer primary key, name text, value real)")
        db.executemany("insert into t (name, value) values (?, ?)", ((f"n{i % 50}", i / 7) for i in range(3000)))
        db.commit()
        db.execute("create index byname on t (name)")
        print(db.execute("select name, count(*), round(sum(value), 3) from t group by name order by name limit 2").fetchall())
        db.execute("delete from t where id % 2")
        db.rollback()
        print(db.execute("select count(*) from t").fetchone(), db.execute("pragma integrity_check").fetchone())
        if os.fork() == 0:
            with contextlib.closing(sqlite3.connect(f"{journal}.db", timeout=20)) as other:
                with other:
                    other.execute("update t set value = 0 where id < 100")
                os._exit(0)
        os.wait()
        print(db.execute("select count(*) from t where value = 0").fetchone())
    with contextlib.closing(sqlite3.connect(f"{journal}.db")) as db:
        db.execute("vacuum")
        print(hashlib.sha256("".join(db.iterdump()).encode()).hexdigest()[:16])
print(sorted(os.listdir(".")))
PY
/usr/bin/python3 work.py
