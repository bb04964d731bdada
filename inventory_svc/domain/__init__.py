"""The rules of stock: dataclasses and pure functions. Imports the standard library and ``chassis.errors`` only.

``stock`` and ``reservation`` are the entities; ``commands`` are the requests; ``unit_of_work`` is the state a decision
is made on; the ``…_rules`` decide.
"""
