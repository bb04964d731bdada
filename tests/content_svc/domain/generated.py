"""Strategies for valid content."""

from __future__ import annotations

from hypothesis import strategies as st

from content_svc.domain.part import Image, Money, PartContent, PriceBreak

# Separators, bidirectional marks and annotations, besides the categories of control characters.
FORBIDDEN = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufff9\ufffa\ufffb\ufffe\uffff"
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=FORBIDDEN)
VISIBLE = st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters=FORBIDDEN)
WORDS = st.text(CHARACTERS, max_size=40)
TITLES = st.text(VISIBLE, min_size=1, max_size=60)
LINES = st.text(CHARACTERS | st.sampled_from("\n\t"), max_size=80)
SCALARS = (
    LINES
    | st.booleans()
    | st.none()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
NAMES = st.text(VISIBLE, min_size=1, max_size=30)
AMOUNTS = st.integers(0, 9_000_000_000_000_000)
IMAGES = st.builds(
    Image,
    url=st.sampled_from(
        ("https://cdn.example/a.png", "/images/b c.jpg".replace(" ", "%20"), "/", "https://例え.jp/画")
    ),
    alt=WORDS.map(str.strip),
    width=st.integers(0, 10_000),
    height=st.integers(0, 10_000),
)
PRICE_BREAKS = st.lists(st.integers(1, 10**9), unique=True, max_size=6).map(
    lambda quantities: tuple(
        PriceBreak(quantity, f"{quantity}.{quantity % 1000:09d}") for quantity in sorted(quantities)
    )
)


@st.composite
def contents(draw: st.DrawFn) -> PartContent:
    """Valid content in the form in which it is stored."""
    price = Money(draw(AMOUNTS), "USD") if draw(st.booleans()) else None
    return PartContent(
        category_id="resistors",
        title=draw(TITLES).strip(),
        summary=draw(LINES),
        specifications=draw(st.dictionaries(NAMES, SCALARS, max_size=8)),
        images=tuple(draw(st.lists(IMAGES, max_size=20))),
        price=price,
        price_breaks=draw(PRICE_BREAKS) if price else (),
        cost=Money(draw(AMOUNTS), "USD") if draw(st.booleans()) else None,
        status=draw(st.sampled_from(("draft", "published", "archived"))),
        mpn=draw(WORDS).strip(),
        manufacturer=draw(WORDS).strip(),
        datasheet_url=draw(st.sampled_from(("", "https://example.com/a.pdf", "http://example.com/?q=℃"))),
    )
