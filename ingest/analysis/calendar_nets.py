"""What an equity curve earned by the calendar: whether one lucky stretch made it all."""

from typing import Any

import numpy as np

from core.timeframes import DAY_MS
from core.types import FloatArray, IntArray

EVERY = ((120 * DAY_MS, "month", "MS"), (21 * DAY_MS, "week", "W-MON"), (0, "day", "D"))
"""From which length on what is told of: months, weeks that begin on Mondays, days; all of UTC."""


def by_calendar(open_time_ms: IntArray, equity: FloatArray) -> dict[str, Any]:
    """Net of each calendar month, week or day that a curve spans, by pandas.

    Parameters
    ----------
    open_time_ms, equity : (n,) a curve that begins with what there was before; n ≥ 1.

    Returns
    -------
    every : "month", "week" or "day".
    periods : {"start", "net"} of each, the oldest first, those without a row left out; `start` may
        lie before the curve. Their nets sum to the curve's last minus its first.
    without_best : that sum without the greatest net.
    """
    # Takes half a second and tens of megabytes, which a scan's process need not spend.
    import pandas as pd

    span_ms = int(open_time_ms[-1] - open_time_ms[0])
    every, rule = next((name, rule) for least, name, rule in EVERY if span_ms >= least)
    curve = pd.Series(equity, index=pd.to_datetime(open_time_ms, unit="ms", utc=True))
    ends = curve.resample(rule, closed="left", label="left").last().dropna()
    nets = np.diff(ends.to_numpy(), prepend=equity[0])
    starts = ends.index.as_unit("ms").asi8
    return {
        "every": every,
        "periods": [
            {"start": int(start), "net": float(net)}
            for start, net in zip(starts, nets, strict=True)
        ],
        "without_best": float(nets.sum() - nets.max()),
    }
