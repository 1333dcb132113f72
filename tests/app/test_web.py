"""The Health view tells of every web process, whichever of them answers."""

import os
from pathlib import Path

from app.services.web import WebProcess, WebProcesses
from core.report import Resources

HZ, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
NOW_MS = 1_800_000_000_000


def put(proc: Path, pid: int, command: str, core_s: int, start_s: int, pages: int) -> None:
    """A process as proc(5) tells of it, with a name that holds what it likes."""
    fields = ["0"] * 50
    fields[11], fields[12] = str(core_s * HZ), "0"
    fields[19], fields[21] = str(start_s * HZ), str(pages)
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    (proc / f"{pid}/stat").write_text(f"{pid} (a ) b) {' '.join(fields)}")
    (proc / f"{pid}/cmdline").write_bytes(command.encode())


def test_web_processes_are_told_by_age_and_the_supervisor_is_none(tmp_path: Path) -> None:
    own, parent, now_s = os.getpid(), os.getppid(), 0.0
    web = WebProcesses(lambda: NOW_MS, lambda: now_s, tmp_path)
    assert web.view() == []  # the system does not tell
    (tmp_path / f"{parent}/task/{parent}").mkdir(parents=True)
    (tmp_path / f"{parent}/task/{parent}/children").write_text(f"{own} 7 8 ")
    (tmp_path / "uptime").write_text("1000.00 1.00")
    put(tmp_path, own, "gunicorn", core_s=10, start_s=900, pages=3)
    put(tmp_path, 7, "ingest --supervise", core_s=1, start_s=800, pages=1)
    put(tmp_path, 8, "gunicorn", core_s=20, start_s=850, pages=2)
    assert web.view() == [
        WebProcess(8, Resources(NOW_MS - 150_000, 2 * PAGE, None)),
        WebProcess(own, Resources(NOW_MS - 100_000, 3 * PAGE, None)),
    ]
    now_s = 2.0
    put(tmp_path, 8, "gunicorn", core_s=21, start_s=850, pages=2)
    assert [one.resources.cpu_share for one in web.view()] == [0.5, 0.0]


def test_this_process_is_told_of_as_the_system_has_it() -> None:
    told = {one.pid: one.resources for one in WebProcesses(lambda: NOW_MS).view()}
    status = Path("/proc/self/status")
    if not status.exists():
        assert told == {}
        return
    resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    assert told[os.getpid()].memory_bytes / (int(resident.split()[1]) * 1_024) > 0.5
