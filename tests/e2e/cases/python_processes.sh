#!/bin/sh
# needs: /usr/bin/python3
# size: quick
# python3: subprocess, threads, multiprocessing, signals.
cat > work.py <<'PY'
import concurrent.futures, multiprocessing, multiprocessing.shared_memory, os, queue, resource, signal, subprocess, sys, threading, time

print("== subprocess")
run = lambda *a, **k: subprocess.run(a, capture_output=True, text=True, **k)
print(run("echo", "hi"), run("sh", "-c", "echo err >&2; exit 7"), run("cat", input="fed\n").stdout)
print(subprocess.run("exit 3", shell=True).returncode, run("sh", "-c", "kill -9 $$").returncode)
try:
    run("sleep", "50", timeout=0.2)
except subprocess.TimeoutExpired as error:
    print("timeout", error.timeout)
try:
    run("/nonexistent/program")
except FileNotFoundError as error:
    print(error)
try:
    run("/etc/passwd")
except PermissionError as error:
    print(error)
big = "x" * 3000000
print(len(run("cat", input=big).stdout), run("pwd", cwd="/usr").stdout, run("env", env={"A": "b"}).stdout)
one = subprocess.Popen(["seq", "1000"], stdout=subprocess.PIPE)
two = subprocess.Popen(["wc", "-l"], stdin=one.stdout, stdout=subprocess.PIPE, text=True)
one.stdout.close()
print(two.communicate()[0].strip(), one.wait(), two.returncode)
read, write = os.pipe()
print(subprocess.run(["sh", "-c", f"echo through >&{write}"], pass_fds=[write]).returncode, os.read(read, 100))
print(run("sh", "-c", "ps >/dev/null 2>&1; echo $PPID", start_new_session=True).stdout.strip() == str(os.getpid()))
print(run("sh", "-c", "ulimit -n", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77))).stdout.strip())
print(sorted(len(run("echo", str(i)).stdout) for i in range(20)))

print("== threads")
lock, total = threading.Lock(), 0
def add():
    global total
    for _ in range(5000):
        with lock:
            total += 1
threads = [threading.Thread(target=add) for _ in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
print(total)
q, done = queue.Queue(5), []
def consume():
    while (item := q.get()) is not None:
        done.append(item)
consumers = [threading.Thread(target=consume) for _ in range(4)]
[t.start() for t in consumers]
[q.put(i) for i in range(1000)], [q.put(None) for _ in consumers], [t.join() for t in consumers]
print(sum(done), len(done))
event, barrier = threading.Event(), threading.Barrier(4)
def meet():
    event.wait()
    barrier.wait()
meeting = [threading.Thread(target=meet) for _ in range(4)]
[t.start() for t in meeting], event.set(), [t.join() for t in meeting]
with concurrent.futures.ThreadPoolExecutor(6) as pool:
    print(list(pool.map(lambda n: subprocess.run(["sh", "-c", f"exit {n}"]).returncode, range(12))))
print(threading.Condition().acquire(), event.wait(0.05), threading.Semaphore(0).acquire(timeout=0.05))

print("== multiprocessing")
def square(n):
    return n * n
def send(connection):
    connection.send({"from": "child", "list": list(range(1000))})
    connection.close()
def count(value, many):
    for _ in range(200):
        with value.get_lock():
            value.value += 1
    many[os.getpid() % len(many)] = 1
def main():
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool:
            print(method, pool.map(square, range(10)), sum(pool.imap_unordered(square, range(100), 7)))
    mine, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=send, args=(theirs,))
    child.start()
    print(len(mine.recv()["list"]), child.join(), child.exitcode)
    value, many = multiprocessing.Value("i", 0), multiprocessing.Array("i", 4)
    children = [multiprocessing.Process(target=count, args=(value, many)) for _ in range(4)]
    [c.start() for c in children], [c.join() for c in children]
    print(value.value, [c.exitcode for c in children])
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    pid = os.fork()
    if pid == 0:
        memory.buf[:5] = b"child"
        os._exit(0)
    os.waitpid(pid, 0)
    print(bytes(memory.buf[:5]))
    memory.close(), memory.unlink()
    jobs = multiprocessing.Queue()
    child = multiprocessing.Process(target=lambda: [jobs.put(i) for i in range(500)])
    child.start()
    print(sum(jobs.get() for _ in range(500)), child.join())
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(5))))

    print("== signals")
    seen = []
    for name in ("SIGUSR1", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), lambda number, frame: seen.append(signal.Signals(number).name))
        os.kill(os.getpid(), getattr(signal, name))
    print(seen)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("alarm")))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        time.sleep(20)
    except TimeoutError as error:
        print(error)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    print(signal.sigpending(), signal.sigwait([signal.SIGUSR2]), signal.sigtimedwait([signal.SIGUSR2], 0.01))
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    os.kill(os.getpid(), signal.SIGUSR1)
    print(os.read(read, 10))
    pid = os.fork()
    if pid == 0:
        signal.pause()
    time.sleep(0.05)
    os.kill(pid, signal.SIGSTOP)
    print(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))
    os.kill(pid, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    try:
        subprocess.run([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT); input()"], check=True,
                       stderr=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        print(error.returncode)
    info = os.waitid(os.P_PID, os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "exit 4"), os.WEXITED)
    print(info.si_status, info.si_code == os.CLD_EXITED)
    pidfd = os.pidfd_open(os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "50"))
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    print(os.waitid(os.P_PIDFD, pidfd, os.WEXITED).si_status)
if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
PY
# What is above the functions runs again where a child starts anew: keep its output out.
sed -i 's/^print("== subprocess")$/if __name__ != "__main__":\n    sys.stdout = open(os.devnull, "w")\n&/' work.py
/usr/bin/python3 work.py
