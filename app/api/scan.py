"""`/analytics/scan`: every pair, and the past of one."""

from itertools import islice
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.spreadsheets import CSV, csv_answer, csv_text
from app.api.values import DIRECTIONS, choice, finite, iso, moment, number, text
from app.requests.scan import (
    HistoryParameters,
    ScanParameters,
    ScanTableParameters,
    asked_of,
)
from app.services import Desk
from app.services.scans import ScanTable
from core.timeframes import SCANNED
from ingest.store.reader import PastScan

MOST_REFUSED = 500
FIGURES = (
    "statistic", "pvalue", "pvalue_other", "qvalue", "hedge_ratio", "p_quarters_median",
    "hedge_ratio_now", "zscore", "spread_std", "break_even_z", "half_life_bars", "hurst",
    "variance_ratio_24", "correlation", "zero_crossings", "quote_volume_24h",
)  # fmt: skip
QUARTERS = tuple(f"p_quarter_{number}" for number in range(4))
_QUARTERS = fields.List(
    fields.Float(allow_none=True), metadata={"description": "p of each quarter of the rows"}
)
RowAnswer = Schema.from_dict(
    {
        "symbol_a": text("the dependent leg of the lower statistic"),
        "symbol_b": text(),
        "direction": choice(DIRECTIONS, "a_on_b: leg A is regressed on leg B"),
        "rows": fields.Integer(metadata={"description": "that both legs have"}),
        "lags": fields.Integer(),
        "p_quarters": _QUARTERS,
        **{name: number() for name in FIGURES},
        "flags": fields.List(text()),
    },
    name="ScannedPair",
)
RefusedAnswer = Schema.from_dict(
    {"symbol_a": text(), "symbol_b": text(), "reason": text()}, name="RefusedPair"
)
HubAnswer = Schema.from_dict(
    {"symbol": text(), "count": fields.Integer(metadata={"description": "finds through it"})},
    name="Hub",
)
ScanAnswer = Schema.from_dict(
    {
        "as_of": moment("close of the last row", null=True),
        "start": moment("open time of the first row", null=True),
        "timeframe": choice(SCANNED),
        "bars": fields.Integer(),
        "age_s": number("since that close"),
        "symbols": fields.List(text()),
        "pairs_total": fields.Integer(),
        "pairs_tested": fields.Integer(),
        "pairs_refused": fields.Integer(),
        "elapsed_s": number("that the scan took"),
        "found_p05": fields.Integer(metadata={"description": "pairs with p < .05"}),
        "found_q05": fields.Integer(metadata={"description": "pairs with q < .05"}),
        "null_range_p05": fields.List(
            fields.Integer(),
            metadata={"description": "lowest and highest `found_p05` in unrelated markets like it"},
        ),
        "hubs": fields.List(fields.Nested(HubAnswer)),
        "detectable_half_life_bars": number("up to which nearly all true pairs pass q < .05"),
        "pairs_shown": fields.Integer(metadata={"description": "that the filters leave"}),
        "rows": fields.List(fields.Nested(RowAnswer)),
        "refused": fields.List(fields.Nested(RefusedAnswer)),
        "next": fields.Integer(
            allow_none=True, metadata={"description": "`offset` of the next page; null at its end"}
        ),
        "warnings": fields.List(text()),
    },
    name="Scan",
)
PastAnswer = Schema.from_dict(
    {
        "as_of": moment("close of its last row"),
        "direction": choice(DIRECTIONS, "which leg was the dependent one"),
        "pvalue": number(),
        "p_quarters": _QUARTERS,
        "p_quarters_median": number(),
        "half_life_bars": number(),
        "hedge_ratio": number(),
    },
    name="PastScan",
)
HistoryAnswer = Schema.from_dict(
    {
        "symbol_a": text(),
        "symbol_b": text(),
        "timeframe": choice(SCANNED),
        "bars": fields.Integer(),
        "scans": fields.List(fields.Nested(PastAnswer), metadata={"description": "oldest first"}),
    },
    name="ScanHistory",
)


def scan_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("scan", __name__, url_prefix="/analytics", description="Every pair")

    @routes.get("/scan")
    @routes.arguments(ScanParameters, location="query")
    @routes.response(200, ScanAnswer)
    @routes.problems(400, 429, 503)
    def scan(values: dict[str, Any]) -> Response:
        """The newest scan of every pair, filtered and in order, a page of it."""
        asked, limit, offset = asked_of(values), values["limit"], values["offset"]
        table = desk.scans.table(asked.timeframe, asked.bars)
        head = scan_head(table, asked.timeframe, asked.bars, desk.now_ms())
        if table is None:
            return json_answer(head | {"pairs_shown": 0, "rows": [], "refused": [], "next": None})
        chosen = desk.scans.chosen(table, asked)
        shown = chosen[offset : offset + limit]
        body = {
            "pairs_shown": len(chosen),
            "rows": [scan_row(table, int(row)) for row in shown],
            "refused": [one._asdict() for one in islice(table.refused(), MOST_REFUSED)],
            "next": offset + limit if offset + limit < len(chosen) else None,
        }
        if head["pairs_refused"] > MOST_REFUSED:
            head["warnings"].append(f"refused: only the first {MOST_REFUSED} are listed")
        return json_answer(head | body)

    @routes.get("/scan/pairs.csv")
    @routes.arguments(ScanTableParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 429, 503)
    def scanned_pairs(values: dict[str, Any]) -> Response:
        """Every pair that the filters leave, in order, as CSV."""
        asked = asked_of(values)
        table = desk.scans.table(asked.timeframe, asked.bars)
        rows = [] if table is None else (scan_row(table, int(row)) for row in table.chosen(asked))
        columns = list(RowAnswer._declared_fields)
        content = csv_text(columns, ([_cell(row[name]) for name in columns] for row in rows))
        return csv_answer(content, f"scan-{asked.timeframe}-{asked.bars}.csv")

    @routes.get("/scan/history")
    @routes.arguments(HistoryParameters, location="query")
    @routes.response(200, HistoryAnswer)
    @routes.problems(400, 404, 429, 503)
    def scan_history(values: dict[str, Any]) -> Response:
        """What past scans found of one pair."""
        symbol_a, symbol_b = values["symbol_a"], values["symbol_b"]
        found = desk.scans.past(values["timeframe"], values["bars"], symbol_a, symbol_b)
        return json_answer(values | {"scans": [_past(one, symbol_a < symbol_b) for one in found]})

    return routes


def _past(one: PastScan, in_order: bool) -> dict[str, Any]:
    """What a scan found of a pair; whether its legs were asked for in the order of their names."""
    return {
        "as_of": iso(one.as_of_ms),
        "direction": "b_on_a" if one.is_reversed == in_order else "a_on_b",
        "pvalue": one.pvalue,
        "p_quarters": one.p_quarters,
        "p_quarters_median": one.p_quarters_median,
        "half_life_bars": one.half_life_bars,
        "hedge_ratio": one.hedge_ratio,
    }


def scan_head(table: ScanTable | None, timeframe: str, bars: int, now_ms: int) -> dict[str, Any]:
    """What stands above the rows; without a scan nulls and why."""
    if table is None:
        numbers = dict.fromkeys(("pairs_total", "pairs_tested", "pairs_refused", "found_p05",
                                 "found_q05"), 0)  # fmt: skip
        none = dict.fromkeys(("as_of", "start", "age_s", "elapsed_s"))
        words = f"rows: no scan of {bars:,} bars of {timeframe} yet; POST /api/jobs asks for one"
        return {
            "timeframe": timeframe, "bars": bars, "symbols": [], "null_range_p05": [], "hubs": [],
            "detectable_half_life_bars": None, "warnings": [words],
        } | numbers | none  # fmt: skip
    scan, head = table.scan, table.scan.head
    warnings = []
    if not head["is_history_whole"]:
        warnings.append("rows: the history was still being fetched")
    if head["short"]:
        names = ", ".join(table.symbols[number] for number in head["short"])
        warnings.append(f"rows: {names} lack more than a tenth of the bars")
    same = ("pairs_total", "pairs_tested", "pairs_refused", "elapsed_s", "found_p05", "found_q05",
            "null_range_p05", "detectable_half_life_bars")  # fmt: skip
    return {name: head[name] for name in same} | {
        "as_of": iso(scan.as_of_ms),
        "start": iso(head["start_ms"]),
        "timeframe": scan.timeframe,
        "bars": scan.bars,
        "age_s": max(0, now_ms - scan.as_of_ms) / 1_000,
        "symbols": table.symbols,
        "hubs": [{"symbol": table.symbols[hub], "count": count} for hub, count in head["hubs"]],
        "warnings": warnings,
    }


def scan_row(table: ScanTable, row: int) -> dict[str, Any]:
    """One pair of a scan."""
    figures = {name: finite(float(table.values(name)[row])) for name in FIGURES}
    return {
        "symbol_a": table.symbols[int(table.leg_a[row])],
        "symbol_b": table.symbols[int(table.leg_b[row])],
        "direction": "a_on_b",
        "rows": int(table.columns["rows"][row]),
        "lags": int(table.columns["lags"][row]),
        "p_quarters": [finite(float(table.columns[name][row])) for name in QUARTERS],
        "flags": table.flags(row),
    } | figures


def _cell(value: Any) -> Any:
    """A list as one cell of a spreadsheet."""
    if not isinstance(value, list):
        return value
    return " ".join("" if part is None else str(part) for part in value)
