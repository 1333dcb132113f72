"""The table of views: one more is a folder beside `live` and a line here."""

from app.views import live
from app.views.view import View

VIEWS = (View("/", "Live", live.live_view, live.register, live.QUICK),)
