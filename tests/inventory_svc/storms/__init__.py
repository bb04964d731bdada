"""Storms: many callers at once against two replicas, and a checker of what they were told."""
