"""The rules of stock: dataclasses and pure functions. Imports the standard library and ``chassis.errors`` only.

``stock`` and ``reservation`` are what there is; ``intents`` is what callers want; ``book`` is the state a decision is
made on; the ``…_rules`` decide; ``decide`` picks the rule for an intent.
"""
