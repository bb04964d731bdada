"""Alerts: conditions that an operator has to know of, stored where every edge can list them."""
