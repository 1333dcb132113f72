"""A page that is left open all day takes no more memory in the evening: part of `make soak`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.browser.words import api

pytestmark = [
    pytest.mark.browser,
    pytest.mark.soak,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

QUERY = "timeframe=1s&window=60&bars=600"
LOOKS = 30
BARS_BETWEEN = 60
"""As many as a minute of 1s has."""
DRAWN = """rows => document.querySelector('#live-pair-chart .js-plotly-plot')
    .data.find(trace => trace.meta.rows === 'z').rows.y.length !== rows"""
MOST_GROWTH = 1.1
"""Of the last looks over those of the first third, in which caches still fill."""


def test_half_an_hour_of_bars_at_1s_leaves_the_page_as_large_as_it_was(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any], soak_times: Any
) -> None:
    desk = start_desk(step_ms=1_000)
    screen = open_screen().open(f"{desk.url}/?{QUERY}")
    page, rng = screen.page, np.random.default_rng(2)
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("Performance.enable")
    heaps, nodes = [], []
    for _ in range(soak_times(LOOKS)):
        for _ in range(BARS_BETWEEN):
            rows = screen.rows()
            desk.append_bar(BTCUSDT=rng.normal(0, 1e-3), ETHUSDT=rng.normal(0, 1e-3))
            page.wait_for_function(DRAWN, arg=rows)
        # The oldest rows leave 128 at a time: with them gone there are fewer than a minute ago.
        assert screen.rows() == api(desk, QUERY)["bars"], "a bar was lost on the way"
        screen.answers.clear()  # the test's own
        screen.requests.clear()
        session.send("HeapProfiler.collectGarbage")
        told = session.send("Performance.getMetrics")["metrics"]
        figures = {one["name"]: one["value"] for one in told}
        heaps.append(figures["JSHeapUsedSize"])
        nodes.append(figures["Nodes"])
        print(f"heap {heaps[-1] / 1e6:.1f} MB, {nodes[-1]:,.0f} nodes, {rows:,} rows")
    third = max(1, len(heaps) // 3)
    for name, figures_ in (("heap", heaps), ("nodes", nodes)):
        begun, ended = max(figures_[:third]), min(figures_[-third:])
        assert ended < MOST_GROWTH * begun, f"{name} went from {begun:,.0f} to {ended:,.0f}"
    assert screen.complaints == []
