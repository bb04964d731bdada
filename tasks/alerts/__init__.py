"""Alerts: conditions that require an operator, stored where every edge can list them."""
