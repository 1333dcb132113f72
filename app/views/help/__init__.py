"""Help: the page's terms and the method behind them, from docs/, served by the desk itself."""

from app.views.help.page import help_route

__all__ = ["help_route"]
