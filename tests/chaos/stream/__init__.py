"""The change stream under faults: its properties hold whatever is killed, disconnected, stalled or restarted.

A scenario is a schedule of faults drawn from a seed. Two replicas of the inventory service run as real processes on a
real database, writers write to both, recorders follow over networks that fail. After the faults end, the messages of
each recorder are compared with the log itself.
"""
