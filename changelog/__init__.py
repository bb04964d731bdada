"""The change log of a service: the database writes it at commit, the service serves it, everything else follows it.

The way of an entry::

    write transaction ──── deferred triggers (sql) ────▶ table change_log: revision, before, after, hash
        │ handoff        reads its entries back,                     │
        │                before the commit                           │ log_entry     an entry, a page of entries
        ▼                                                            ▼
    served_log           committed(): after the commit           log_reader          pages, searches, newest entries
        │    └─ notify   NOTIFY ─▶ LISTEN in other replicas ─┐       │
        ▼                                                    ▼       ▼
    tailer               appends to the window, by hand-off or by reading; wakes the watchers
        │ window         the newest entries in memory, each encoded once per audience (visibility, wire)
        ▼
    feed                 one position per watcher: served from the window, or from the table if it is older
        │ catch_up       pages of the table for such watchers
        │ watch_response cuts entries into messages, at the ends of transactions
        ▼
    gRPC stream WatchStock, WatchParts: changes and bookmarks, each with a cursor
        │
        ▼
    sources              the client side of the stream: watch, snapshot, report
        ▼
    follower             applies in order, finds gaps, resumes from its cursor, resyncs from a snapshot (snapshot_gate)
        ▼
    a sink               cache, live hub, audit dispatch, published parts of the inventory service

Beside it: ``follower_registry`` (positions that retention waits for), ``maintenance`` (partitions and retention),
``log_servicer`` (the log for operators), ``integrity`` (hash chain and checkpoints), ``if_match`` (preconditions).
"""
