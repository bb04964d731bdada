"""A family of parts: one category, and the properties in which its members differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Family:
    """Members are the combinations of ``axes``, as many as ``members`` says, spread evenly over all of them."""

    category: tuple[str, ...]
    code: str
    noun: str
    makers: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]
    # Price of a single piece of the first and of the last member, in euros; between them it rises evenly.
    prices: tuple[float, float]
    use: str
    fixed: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    members: int = 22
