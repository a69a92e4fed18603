"""Runs copies of a program whose first kilobyte, the ELF headers, was damaged. Usage: mutate_elf.py COUNT PROGRAM"""
import os
import random
import resource
import sys
import tempfile

HEADERS = 64 + 13 * 56  # the file header and as many program headers as most programs have
ODD = (0, 1, 2, 0xff, 4095, 4096, 0x7fffffff, 0x80000000, 0x7ffffffff000, 0x800000000000, 2**63 - 1, 2**63, 2**64 - 1)


def mutated(image, rnd):
    image = bytearray(image)
    for _ in range(rnd.choice((1, 1, 1, 2, 4))):
        kind = rnd.randrange(3)
        if kind == 0:
            image[rnd.randrange(HEADERS)] = rnd.randrange(256)
        elif kind == 1:
            at = 8 * rnd.randrange(HEADERS // 8)
            image[at:at + 8] = rnd.choice(ODD).to_bytes(8, "little")
        else:
            return image[:rnd.randrange(1, len(image))]
    return image


def try_program(path):
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            os.execve(path, [path], {})
        except OSError:
            os._exit(126)
    os.waitpid(pid, 0)


def main():
    count, image = int(sys.argv[1]), open(sys.argv[2], "rb").read()
    rnd = random.Random(1)
    with tempfile.TemporaryDirectory() as d:
        for i in range(count):
            path = f"{d}/{i}"
            with open(path, "wb") as f:
                f.write(mutated(image, rnd))
            os.chmod(path, 0o755)
            try_program(path)
            os.unlink(path)
    print(count, "programs tried")


main()
