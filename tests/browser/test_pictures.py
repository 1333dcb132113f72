"""The Live view beside small pictures of how it looked: what no other test would see.

REFERENCES=write renews the pictures, for somebody to look at before they are committed.
"""

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

REFERENCES = Path(__file__).parent / "references"
MOST_DIFFERENT = 0.02
"""Share of the small picture's pixels: ages tick, and letters are drawn a little otherwise."""
COMPARE = """async ([taken, kept, width, height]) => {
    const small = async picture => {
        const image = new Image();
        image.src = `data:image/png;base64,${picture}`;
        await image.decode();
        const canvas = Object.assign(document.createElement('canvas'), {width, height});
        const context = canvas.getContext('2d');
        context.imageSmoothingQuality = 'high';
        context.drawImage(image, 0, 0, width, height);
        return [canvas.toDataURL('image/png').split(',')[1],
                context.getImageData(0, 0, width, height).data];
    };
    const [picture, mine] = await small(taken), [, theirs] = await small(kept || picture);
    let different = 0;
    for (let at = 0; at < mine.length; at += 4)
        different += [0, 1, 2].some(part => Math.abs(mine[at + part] - theirs[at + part]) > 48);
    return [picture, different / (width * height)];
}"""


@pytest.fixture(scope="module")
def still_desk(served_desk: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """One that no test changes."""
    with served_desk() as desk:
        yield desk


@pytest.mark.parametrize(
    ("name", "size", "small"),
    [
        ("live-dark", (1440, 900), (480, 300)),
        ("live-light", (1440, 900), (480, 300)),
        ("phone-dark", (390, 844), (195, 422)),
    ],
)
def test_live_looks_as_it_did(
    still_desk: Any,
    open_screen: Callable[..., Any],
    name: str,
    size: tuple[int, int],
    small: tuple[int, int],
) -> None:
    screen = open_screen(*size, color_scheme=name.rpartition("-")[2]).open(still_desk.url)
    page = screen.page
    expect(page.locator("#live-win-noise")).not_to_be_empty()
    expect(page.locator("#live-expectancy-note")).not_to_be_empty()
    page.evaluate("document.fonts.ready.then(() => 1)")
    page.wait_for_timeout(500)  # the charts' last frame
    taken = base64.b64encode(page.screenshot()).decode()
    plain = page.context.new_page()  # the desk's own policy has no say here
    reference = REFERENCES / f"{name}.png"
    is_new = os.environ.get("REFERENCES") == "write"
    kept = "" if is_new else base64.b64encode(reference.read_bytes()).decode()
    picture, share = plain.evaluate(COMPARE, [taken, kept, *small])
    if is_new:
        reference.write_bytes(base64.b64decode(picture))
    assert share <= MOST_DIFFERENT, f"{share:.1%} of {name} is different"
