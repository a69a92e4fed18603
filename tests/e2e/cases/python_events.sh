#!/bin/sh
# needs: /usr/bin/python3
# size: quick
# python3: select, poll, epoll, selectors, asyncio with subprocesses and pipes, pty-free terminals, timers.
cat > work.py <<'PY'
import asyncio, os, select, selectors, signal, sys, threading, time

print("== select")
r, w = os.pipe()
print(select.select([r], [w], [], 0) == ([], [w], []), select.select([r], [], [], 0.05))
os.write(w, b"x")
print(select.select([r], [], [], 5)[0] == [r])
p = select.poll()
p.register(r, select.POLLIN), p.register(w, select.POLLOUT)
print(sorted(event for _, event in p.poll(0)))
e = select.epoll()
e.register(r, select.EPOLLIN | select.EPOLLET)
print(len(e.poll(0)), e.poll(0), os.write(w, b"y"), len(e.poll(0)))
os.close(w)
print([event for _, event in e.poll(0)] == [select.EPOLLIN | select.EPOLLHUP], os.read(r, 10), os.read(r, 10))
sel = selectors.DefaultSelector()
pairs = [os.pipe() for _ in range(20)]
for number, (r, w) in enumerate(pairs):
    sel.register(r, selectors.EVENT_READ, number)
def writer():
    for _, w in pairs:
        time.sleep(0.001)
        os.write(w, b"z")
        os.close(w)
t = threading.Thread(target=writer)
t.start()
seen, open_ = [], len(pairs)
while open_:
    for key, _ in sel.select(10):
        data = os.read(key.fd, 10)
        if data:
            seen.append(key.data)
        else:
            sel.unregister(key.fd)
            open_ -= 1
t.join()
print(sorted(seen) == list(range(20)), type(sel).__name__)
ev = os.eventfd(3, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
print([os.eventfd_read(ev) for _ in range(3)], select.select([ev], [], [], 0)[0])

print("== asyncio")
async def command(*argv, data=None):
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                                                   stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate(data)
    return process.returncode, out, err
async def lines():
    process = await asyncio.create_subprocess_shell("for i in 1 2 3; do echo line $i; sleep 0.02; done", stdout=asyncio.subprocess.PIPE)
    async for line in process.stdout:
        print(line)
    return await process.wait()
async def killed():
    process = await asyncio.create_subprocess_exec("sleep", "50")
    await asyncio.sleep(0.05)
    process.terminate()
    return await process.wait()
async def main():
    print(await command("cat", data=b"to the child"), await command("sh", "-c", "echo e >&2; exit 5"))
    many = await asyncio.gather(*(command("sh", "-c", f"echo {n}; exit {n}") for n in range(15)))
    print([(code, out) for code, out, _ in many])
    print(await lines(), await killed())
    try:
        await asyncio.wait_for(command("sleep", "30"), 0.1)
    except asyncio.TimeoutError:
        print("timed out")
    loop, got, done = asyncio.get_running_loop(), [], asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, lambda: (got.append("usr1"), done.set()))
    os.kill(os.getpid(), signal.SIGUSR1)
    await done.wait()
    print(got)
    r, w = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(r, "rb"))
    await loop.run_in_executor(None, lambda: (time.sleep(0.02), os.write(w, b"piped\n"), os.close(w)))
    print(await reader.readline(), await reader.read())
    order = []
    async def after(seconds, name):
        await asyncio.sleep(seconds)
        order.append(name)
    await asyncio.gather(after(0.15, "c"), after(0.01, "a"), after(0.08, "b"))
    print(order)
    queue = asyncio.Queue(3)
    async def produce():
        for i in range(100):
            await queue.put(i)
    async def consume():
        return sum([await queue.get() for _ in range(100)])
    print((await asyncio.gather(produce(), consume()))[1])
    size = 2_000_000
    code, out, _ = await command("cat", data=b"q" * size)
    print(code, len(out) == size)
asyncio.run(main())
print("== end")
PY
/usr/bin/python3 work.py
