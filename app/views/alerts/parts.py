"""Everything that the Alerts view says, as html by the id of its frame."""

from typing import Any

from app.services import Desk
from app.views.alerts import ids
from app.views.alerts.asked import Asked
from app.views.alerts.channels import channels_panel
from app.views.alerts.form import rule_form
from app.views.alerts.history import episode_panel, history_table, why_panel
from app.views.alerts.watchlist import firing_cards, forming, ordered, watchlist_table
from app.views.links import listed_symbols


def parts(desk: Desk, asked: Asked) -> dict[str, Any]:
    """The view for what was asked; raises StoreError where the store can't be read."""
    rules = ordered(desk.watchlist.view().rules, "distance")
    judged = desk.found.judged(asked.subject)
    watched = next(
        (one for one in rules if judged.rule and one.rule.rule_id == judged.rule.rule_id), None
    )
    channels = list(desk.settings.channels)
    return {
        ids.FIRING: firing_cards(rules),
        ids.WATCHLIST: watchlist_table(desk, asked, rules),
        ids.HISTORY: history_table(
            asked.page, desk.found.page(asked.page), rules, asked.subject.episode_id
        ),
        ids.EPISODE: episode_panel(desk, judged, watched),
        ids.WHY: why_panel(judged),
        ids.CHANNELS: channels_panel(
            desk.channels.view(), desk.channels.heartbeat(), desk.status.view().analysis
        ),
        ids.FORM: rule_form(listed_symbols(desk), channels),
        "texts": forming(rules),
    }
