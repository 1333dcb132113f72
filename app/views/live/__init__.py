"""The Live view: a pair's numbers and charts as of now, a small delta every second."""

from app.views.live.callbacks import QUICK, register
from app.views.live.layout import live_view
from app.views.live.scripts import ASSETS

__all__ = ["ASSETS", "QUICK", "live_view", "register"]
