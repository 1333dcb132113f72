"""A request of the Live view, and what the browser gets of an answer."""

import json
from typing import Any

from plotly.utils import PlotlyJSONEncoder

REQUEST = {"query": "symbol_a=BTCUSDT&symbol_b=ETHUSDT&window=60&hedge_window=120", "note": ""}


def as_sent(content: Any) -> Any:
    """What the browser gets of it."""
    return json.loads(json.dumps(content, cls=PlotlyJSONEncoder))
