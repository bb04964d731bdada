"""The messages of recorders and a follower as JSON, for a check in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.chaos.stream.recorders import Message, Recorder, Seen, Session, StateSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changelog.follower import FollowerCounts


def encode_record(recorders: Sequence[Recorder], state: StateSink, counts: FollowerCounts) -> dict[str, Any]:
    """Return everything that the properties need."""
    return {
        "recorders": [
            {
                "name": recorder.name,
                "part_ids": sorted(recorder.part_ids),
                "jumps": recorder.jumps,
                "sessions": [_session(session) for session in recorder.sessions],
            }
            for recorder in recorders
        ],
        "levels": [[*key, *level] for key, level in state.levels.items()],
        "runs": state.runs,
        "gaps": counts.gaps,
        "duplicates": counts.duplicates,
        "reconnects": counts.reconnects,
    }


def decode_record(record: dict[str, Any]) -> tuple[list[Recorder], StateSink]:
    """Return the recorders and the follower's state."""
    recorders = []
    for item in record["recorders"]:
        recorder = Recorder(item["name"], None, "", item["part_ids"])  # type: ignore[arg-type] # it does not watch
        recorder.jumps = [(start, end, reason) for start, end, reason in item["jumps"]]
        recorder.sessions = [
            Session(session["cursor"], [_message(message) for message in session["messages"]], session["ended_by"])
            for session in item["sessions"]
        ]
        recorders.append(recorder)
    state = StateSink()
    state.levels = {
        (part, location): (version, on_hand, held) for part, location, version, on_hand, held in record["levels"]
    }
    state.runs = [(cursor, revisions) for cursor, revisions in record["runs"]]
    return recorders, state


def _session(session: Session) -> dict[str, Any]:
    messages = [
        [
            str(message.epoch),
            message.revision,
            message.fragment,
            [[seen.revision, seen.entity, seen.entity_id, seen.version, seen.on_hand] for seen in message.changes],
        ]
        for message in session.messages
    ]
    return {"cursor": session.cursor, "ended_by": session.ended_by, "messages": messages}


def _message(item: list[Any]) -> Message:
    epoch, revision, fragment, changes = item
    return Message(UUID(epoch), revision, tuple(Seen(*change) for change in changes), fragment)
