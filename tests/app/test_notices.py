"""What stands above the charts."""

from dataclasses import replace

from app.services import Desk
from app.views.shell.notices import notices
from core.pair_spec import read_pair_spec


def test_trades_that_hedged_nothing_are_told_on_the_page_too(services: Desk) -> None:
    wanted = {"window": 30, "hedge_window": 100, "bars": 200}
    view = services.pairs.view(read_pair_spec(wanted, services.settings))
    assert view.result is not None
    words = "3 of 40 held both legs on one side, at a hedge ratio below 0"
    odd = replace(view, result=replace(view.result, reasons={"backtest.trades": words}))
    lines = {line.words for line in notices(services.status.view(), odd)}
    assert lines - {line.words for line in notices(services.status.view(), view)} == {
        f"Trades: {words}."
    }
