"""The help that the desk serves: the terms of its page, and the method."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.views.help.page import DOCUMENTS, anchor_of, rendered
from app.views.live.cards import CARDS, EXPLAINED
from app.views.live.texts import SUMMARY
from core.pair_spec import PAIR_PARAMETERS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def page(client: FlaskClient) -> str:
    answer = client.get("/help")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_every_heading_can_be_linked_to_and_every_link_leads_to_one(page: str) -> None:
    anchors = re.findall(r'<h\d id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors)), "two headings share an anchor"
    written = [
        line for name in DOCUMENTS for line in (DOCS / name).read_text().splitlines()
        if re.match(r"#{1,3} ", line)
    ]  # fmt: skip
    assert len(anchors) == len(written)
    targets = re.findall(r'<a href="#([^"]+)"', page)
    assert len(targets) > 30
    assert set(targets) <= set(anchors)
    assert re.findall(r'href="[^"#]*\.md', page) == []


@pytest.mark.parametrize("folder", ["app", "assets"])
def test_links_of_the_page_into_help_lead_to_a_heading(page: str, folder: str) -> None:
    anchors = set(re.findall(r'<h\d id="([^"]+)"', page))
    named = {
        anchor
        for path in (DOCS.parent / folder).rglob("*.*")
        if path.suffix in (".py", ".js")
        for anchor in re.findall(r"/help#([\w-]+)", path.read_text())
    }
    assert named <= anchors


def test_every_control_card_and_figure_has_its_term(page: str) -> None:
    terms = " ".join(re.findall(r"<h3[^>]*>([^<]+)<", page)).lower()
    written = re.sub(r"<[^>]+>", "", page).lower()
    for parameter in PAIR_PARAMETERS.values():
        assert parameter.label.lower() in terms, parameter.label
    for heading, *_ in CARDS.values():
        assert any(heading.values()), f"nothing explains {heading}"
    assert EXPLAINED.keys() == SUMMARY.keys()
    for label in SUMMARY.values():
        assert label.split(",")[0].lower() in written, label


def test_anchors_are_those_of_a_forge() -> None:
    assert anchor_of("Spread and z") == "spread-and-z"
    assert anchor_of("Hedge ratio β") == "hedge-ratio-β"
    assert anchor_of("Half-life, Hurst, zero crossings, correlation") == (
        "half-life-hurst-zero-crossings-correlation"
    )


def test_a_document_s_own_html_is_shown_and_not_run() -> None:
    html, _ = rendered(
        {"x.md": "# <b>x</b>\n\n<script>alert(1)</script>\n\n[y](javascript:alert(1))\n"}
    )
    assert "<script" not in html
    assert "<b>" not in html
    assert 'href="javascript' not in html
