"""The grid of a backtest's round trips."""

from typing import Any

import dash_ag_grid as dag

from app.views.live import ids

# The grid's colours follow the page's theme, being css variables.
THEME = """themeQuartz.withParams({
    backgroundColor: 'var(--p)', foregroundColor: 'var(--t)', accentColor: 'var(--acc)',
    borderColor: 'var(--l)', headerBackgroundColor: 'var(--p)', headerTextColor: 'var(--m)',
    rowHoverColor: 'var(--p2)', chromeBackgroundColor: 'var(--p)', fontFamily: 'inherit',
    fontSize: 13, headerFontSize: 11, headerFontWeight: 400, wrapperBorder: false,
    headerRowBorder: false, pinnedColumnBorder: false, cellHorizontalPadding: 6, rowHeight: 29,
    headerHeight: 28, wrapperBorderRadius: 0, spacing: 6
})"""


def _column(field: str, heading: str, width: int, **more: Any) -> dict[str, Any]:
    sizes = {"width" if "pinned" in more else "flex": width}
    return {"field": field, "headerName": heading, "minWidth": width} | sizes | more


def round_trips() -> dag.AgGrid:
    """Newest first; sortable by any column."""
    number = {"type": "rightAligned"}
    zscore = "params.value == null ? '–' : d3.format('+.2f')(params.value)"
    return dag.AgGrid(
        id=ids.ROUND_TRIPS,
        columnDefs=[
            _column("time", "entry (UTC)", 108, sort="desc")
            | {"valueFormatter": {"function": "params.data.entry"}},
            _column(
                "side",
                "side",
                66,
                cellClassRules={
                    "long": "params.value === '▲ long'",
                    "short": "params.value === '▼ short'",
                },
            ),
            _column("z", "z", 54, valueFormatter={"function": zscore}, **number),
            _column("held", "held", 60, **number)
            | {"valueFormatter": {"function": "params.data.held_text"}},
            _column("why", "exit", 58),
            _column(
                "pnl",
                "PnL",
                76,
                # In sight on a narrow screen too, where the other columns scroll.
                pinned="right",
                valueFormatter={"function": "params.data.pnl_text"},
                cellClassRules={"gain": "params.value > 0", "loss": "params.value <= 0"},
                **number,
            ),
        ],
        rowData=[],
        getRowId="params.data.id",
        defaultColDef={
            "sortable": True,
            "resizable": False,
            "suppressMovable": True,
        },
        dashGridOptions={
            "theme": {"function": THEME},
            "animateRows": False,
            "suppressCellFocus": True,
            "localeText": {"noRowsToShow": "No round trip on these bars"},
            "enableCellTextSelection": True,
        },
        className="round-trips",
        style={"height": "100%"},
    )
