"""The Scanner's grid: its columns, and the blocks of rows that it asks for as it is scrolled."""

import json
from typing import Any, NamedTuple

from dash_ag_grid import AgGrid

from app.services import Desk
from app.views.scanner import ids
from app.views.scanner.asked import read_asked
from app.views.scanner.pairs import made_of, row_cells
from core.scan_query import SORTS

BLOCK_ROWS = 80
_MOST_BLOCKS = 20
_WAIT_MS = 60
"""Blocks that a scroll rushes past are not asked for."""


ON_A_PHONE = 0.85
"""Share of its width that a column needs which a phone shows, too."""


class Column(NamedTuple):
    """A column: its words and width in pixels where there is room, and its place on a phone."""

    name: str
    """What it is ordered by, where it may be."""
    words: str
    width: int
    is_left: bool = False
    is_wide: bool = True
    """Left out where the window is narrow."""


COLUMNS = (
    Column("pair", "pair, A on B", 128, is_left=True, is_wide=False),
    Column("quarters", "quarters", 62, is_left=True, is_wide=False),
    Column("p_quarters_median", "median", 70, is_wide=False),
    Column("pvalue", "p both", 56),
    Column("qvalue", "q", 48, is_wide=False),
    Column("zscore", "z", 56, is_wide=False),
    Column("recent", "120 bars", 88),
    Column("break_even_z", "b/e z", 54),
    Column("hedge_ratio", "β", 50),
    Column("half_life_bars", "half-life", 64, is_wide=False),
    Column("correlation", "corr.", 46),
    Column("quote_volume_24h", "thin leg, M/day", 98),
    Column("flags", "flags", 84, is_left=True),
    Column("deeds", "rule", 116, is_left=True),
)
_THEME = {
    "accentColor": "var(--acc)",
    "backgroundColor": "var(--p)",
    "borderColor": "var(--l)",
    "borderRadius": 0,
    "browserColorScheme": "inherit",
    "cellHorizontalPadding": 6,
    "fontFamily": "inherit",
    "fontSize": 13,
    "foregroundColor": "var(--t)",
    "headerBackgroundColor": "var(--p)",
    "headerColumnResizeHandleColor": "var(--clear)",
    "headerFontSize": 11,
    "headerFontWeight": 400,
    "headerHeight": 26,
    "headerTextColor": "var(--m)",
    "iconSize": 12,
    "rowHeight": 26,
    "rowHoverColor": "var(--p2)",
    "selectedRowBackgroundColor": "var(--acc2)",
    "spacing": 4,
    "wrapperBorder": False,
    "wrapperBorderRadius": 0,
}


def pairs_grid() -> AgGrid:
    """The grid, still empty: assets/desk_scanner.js answers its requests."""
    return AgGrid(
        id=ids.GRID,
        rowModelType="infinite",
        getRowId="params.data.id",
        columnDefs=[_column(one) for one in COLUMNS],
        defaultColDef={"resizable": False, "suppressHeaderMenuButton": True},
        dashGridOptions={
            "theme": {"function": f"themeQuartz.withParams({json.dumps(_THEME)})"},
            "cacheBlockSize": BLOCK_ROWS,
            "maxBlocksInCache": _MOST_BLOCKS,
            # A second request would take the first one's place.
            "maxConcurrentDatasourceRequests": 1,
            "blockLoadDebounceMillis": _WAIT_MS,
            "rowSelection": {
                "mode": "singleRow",
                "checkboxes": False,
                "enableClickSelection": True,
            },
            "suppressMovableColumns": True,
            "suppressMultiSort": True,
            "suppressNoRowsOverlay": True,
            "suppressContextMenu": True,
            # From a row to what can be done with it, below the grid, or to the headers: no key has
            # to pass a hundred rows.
            "tabToNextCell": {"function": "scannerTab(params)"},
        },
        eventListeners={
            "cellFocused": ["scannerFocused(params)"],
            "selectionChanged": ["scannerSelected(params)"],
            "sortChanged": ["scannerSorted(params)"],
            "bodyScrollEnd": ["scannerScrolled(params)"],
        },
        style={"height": "100%"},
    )


def _column(column: Column) -> dict[str, Any]:
    falls = SORTS.get(column.name, False)
    look = "left" if column.is_left else "right"
    given: dict[str, Any] = {
        "field": column.name,
        "headerName": column.words,
        "flex": column.width,
        # A number that is cut is another one: where there is less room the grid scrolls sideways.
        "minWidth": column.width if column.is_wide else round(ON_A_PHONE * column.width),
        "sortable": column.name in SORTS,
        "sortingOrder": ["desc", "asc"] if falls else ["asc", "desc"],
        "cellRenderer": "ScannerCell",
        "cellClass": f"{look} {column.name.replace('_', '-')}",
        "headerClass": look,
        "context": {"isWide": column.is_wide},
    }
    if column.name == "p_quarters_median":
        given["sort"] = "asc"
    return given


def block(desk: Desk, request: object) -> dict[str, Any]:
    """A block of the pairs that are asked for, in order; raises StoreError where none can be read.

    What comes is judged as the tick's own; `made` tells of which scan and bar the rows are.
    """
    view = read_asked(request)
    table = desk.scans.table(view.asked.timeframe, view.asked.bars)
    seen = desk.radar.seen(view.asked.timeframe)
    if table is None:
        return {"rowData": [], "rowCount": 0, "made": made_of(table, seen)}
    chosen = desk.scans.chosen(table, view.asked)
    rows = chosen[view.offset : view.offset + BLOCK_ROWS].tolist()
    return {
        "rowData": [row_cells(desk, table, seen, row) for row in rows],
        "rowCount": len(chosen),
        "made": made_of(table, seen),
    }
