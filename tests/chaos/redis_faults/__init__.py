"""Redis under faults: damaged files, planted keys, lost data. Facts are complete afterwards, and nobody had to act.

A scenario is a schedule of faults drawn from a seed. A writer writes to a change log; a dispatcher queues audit jobs, a
real worker stores them, and a follower applies the log to the shared cache, all through one Redis. At the end the audit
trail holds every entry once and in order, and the shared cache stands at the end of the log and is used.
"""
