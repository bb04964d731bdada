"""Alerts: conditions that need an operator, stored in the edge's database so that every edge lists them."""
