"""The change stream under faults: what a watcher is promised holds whatever is killed, cut, stalled or restarted.

A scenario is a schedule of faults drawn from a seed. Two replicas of the inventory service run as real processes on a
real database, writers storm both, recorders follow through networks that break. When everything is well again, what
each recorder got is compared with the log itself.
"""
