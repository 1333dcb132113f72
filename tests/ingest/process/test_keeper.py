"""A killed supervisor doesn't leave a desk that shows old prices for ever."""

import os
import signal
import sys
import threading
from contextlib import suppress

from ingest.process.keeper import Keeper
from tests.support.waiting import ENDLESS_S, wait_until

SLEEPING = [sys.executable, "-c", f"import time; time.sleep({ENDLESS_S})"]


def is_alive(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_killed_supervisor_is_started_again_and_ends_with_the_server(tmp_path):
    keeper = Keeper(SLEEPING, tmp_path, delay_s=0.01)
    keeper.start()
    first = keeper.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: keeper.pid != first, "started again")
    second = keeper.pid
    assert is_alive(second)
    keeper.stop()
    wait_until(lambda: not is_alive(second), "the second has ended")
    assert keeper.pid == second


def test_it_is_started_again_though_the_server_reaped_it_first(tmp_path):
    keeper = Keeper([sys.executable, "-c", ""], tmp_path, delay_s=0.01)
    keeper.start()
    first = keeper.pid
    # An exit 0 is what a reaped SIGKILL looks like.
    wait_until(lambda: keeper.pid != first, "started again")
    keeper.stop()


def test_a_supervisor_that_refuses_its_settings_is_not_started_again(tmp_path):
    keeper = Keeper([sys.executable, "-c", "raise SystemExit(78)"], tmp_path, delay_s=0.0)
    keeper.start()
    first = keeper.pid
    wait_until(lambda: all(thread.name != "keeper" for thread in threading.enumerate()), "given up")
    keeper.stop()
    assert keeper.pid == first


def test_a_supervisor_that_ends_before_the_server_does_is_left_ended(tmp_path):
    keeper = Keeper(SLEEPING, tmp_path, delay_s=30.0)
    keeper.start()
    first = keeper.pid
    os.kill(first, signal.SIGINT)  # Ctrl-C reaches all processes at once
    wait_until(lambda: not is_alive(first), "the first has ended")
    keeper.stop()
    assert keeper.pid == first
