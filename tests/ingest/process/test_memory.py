"""Processes that run for months hold no memory that nothing uses."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# Eight threads at once that allocate in small pieces, as answers do; then how many heaps there are.
PROGRAM = """
import ctypes, sys, threading
from ingest.process.memory import share_arenas

told = share_arenas({"MALLOC_ARENA_MAX": "8"} if sys.argv[1] == "own" else {})
together = threading.Barrier(8)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

def allocate():
    together.wait()
    for _ in range(100):
        assert libc.malloc(1_000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype, libc.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
stream = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, stream)
libc.fclose(stream)
print(told, open(sys.argv[2]).read().count("<heap nr="))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's arenas")
@pytest.mark.parametrize(("whose", "is_told"), [("ours", "True"), ("own", "False")])
def test_eight_threads_do_not_keep_eight_heaps(tmp_path: Path, whose: str, is_told: str) -> None:
    command = [sys.executable, "-c", PROGRAM, whose, str(tmp_path / "info")]
    told, heaps = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told == is_told
    assert int(heaps) <= 2 if whose == "ours" else int(heaps) > 2


# Every other block is freed again: none of it lies at the end of the heap.
FREEING = """
import ctypes
from ingest.process.memory import give_back

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def held_mb():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1_024

blocks = [libc.malloc(16_384) for _ in range(6_000)]
for block in blocks:
    ctypes.memset(block, 1, 16_384)
for block in blocks[::2]:
    libc.free(block)
before = held_mb()
give_back()
print(before - held_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heaps")
def test_what_was_freed_between_what_lives_goes_back_to_the_machine() -> None:
    command = [sys.executable, "-c", FREEING]
    freed_mb = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert freed_mb > 25  # of 47, but for the pages that both kinds of block lie on


# What of the compiler's code lies in memory, in kB.
COMPILED = """
import re
import llvmlite.binding
from ingest.process.memory import give_back

def held():
    parts = re.split(r"(?m)^(?=[0-9a-f]+-)", open("/proc/self/smaps").read())
    (code,) = (part for part in parts if "r-x" in part and "libllvmlite" in part)
    return int(re.search(r"Rss: *([0-9]+)", code)[1])

before = held()
give_back()
print(before, held())
assert llvmlite.binding.get_host_cpu_name()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's list of what is mapped")
def test_the_compiler_s_code_is_held_only_while_it_runs() -> None:
    command = [sys.executable, "-c", COMPILED]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    before, after = map(int, told)
    assert before > 1_000
    assert after < before / 4
