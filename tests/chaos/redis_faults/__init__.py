"""Redis under faults: damaged files, planted keys, lost data. No facts are lost, and nothing needs an operator.

A scenario is a schedule of faults drawn from a seed. A writer writes to a change log; a dispatcher queues audit jobs, a
real worker stores them, and a follower applies the log to the shared cache, all with one Redis. At the end the audit
trail has every entry once and in order, and the shared cache is at the end of the log and in use.
"""
