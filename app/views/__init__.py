"""The table of views: one more is a folder beside `live` and a line here."""

from app.views import alerts, health, lab, live, scanner
from app.views.live.watch import WATCHED
from app.views.view import View

VIEWS = (
    View(
        "/",
        "Live",
        live.live_view,
        live.register,
        live.QUICK,
        WATCHED,
        assets=live.ASSETS,
        components=("dash_bootstrap_components",),
    ),
    View("/alerts", "Alerts", alerts.alerts_view, alerts.register, watched=alerts.WATCHED),
    View(
        "/scanner",
        "Scanner",
        scanner.scanner_view,
        scanner.register,
        watched=scanner.WATCHED,
        assets=("desk_scanner",),
        components=("dash_ag_grid",),
    ),
    View(
        "/lab",
        "Lab",
        lab.lab_view,
        lab.register,
        watched=lab.WATCHED,
        assets=("desk_lab", "desk_report"),
    ),
    View("/health", "Health", health.health_view, health.register, watched=health.WATCHED),
)
