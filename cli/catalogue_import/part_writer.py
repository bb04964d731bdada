"""Writes batches of parts through the content service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.errors import InvalidArgument
from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.part_message import update_mask
from partstream.content.v1 import part_pb2, part_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.catalogue_import.prepare import PreparedRow
    from cli.catalogue_import.report import Report
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub
    from stack.service_calls.retrying_calls import RetryingCalls
    from stack.service_calls.run_journal import RunJournal

OUTCOMES = {
    part_service_pb2.PART_UPSERT_OUTCOME_CREATED: "parts_created",
    part_service_pb2.PART_UPSERT_OUTCOME_UPDATED: "parts_updated",
    part_service_pb2.PART_UPSERT_OUTCOME_UNCHANGED: "parts_unchanged",
}


class PartWriter:
    """Creates and updates parts; parts that are already as the file says are left alone by the service."""

    def __init__(
        self,
        content: ContentServiceAsyncStub,
        calls: RetryingCalls,
        journal: RunJournal,
        report: Report,
        *,
        clear_empty: bool,
    ) -> None:
        self._content = content
        self._calls = calls
        self._journal = journal
        self._report = report
        self._clear_empty = clear_empty

    async def write(self, batch: Sequence[tuple[PreparedRow, part_pb2.Part]]) -> list[PreparedRow]:
        """Write a batch; return the rows that were accepted. Refused ones become rejects, one by one."""
        request = part_service_pb2.BatchUpsertPartsRequest(
            parts=[message for _, message in batch],
            comment="import",
        )
        self._set_masks(request, [row for row, _ in batch])
        request.request_id = self._journal.request_id_of("parts", request)
        try:
            answer = await self._calls(self._content.BatchUpsertParts, request)
        except InvalidArgument as refusal:
            return await self._split(batch, refusal)
        return [row for (row, _), result in zip(batch, answer.results, strict=True) if self._accepted(row, result)]

    def _set_masks(self, request: part_service_pb2.BatchUpsertPartsRequest, rows: Sequence[PreparedRow]) -> None:
        """Say what the rows decide about parts that exist: once where they agree, which most files' rows do."""
        masks = [update_mask(row.part, clear_empty=self._clear_empty) for row in rows]
        if masks[0].paths and all(mask == masks[0] for mask in masks):
            request.update_mask.CopyFrom(masks[0])
        else:
            request.part_update_masks.extend(masks)

    async def _split(
        self, batch: Sequence[tuple[PreparedRow, part_pb2.Part]], refusal: InvalidArgument
    ) -> list[PreparedRow]:
        """One bad part must not take its batch down: halve until it stands alone."""
        if len(batch) == 1:
            row = batch[0][0]
            at = refusal.fields[0] if refusal.fields else None
            message = f"{refusal.message} {at.message}" if at else refusal.message
            self._report.reject(row.line, row.part.sku, RowRejected(at.path if at else "", refusal.reason, message))
            return []
        middle = len(batch) // 2
        return [*await self.write(batch[:middle]), *await self.write(batch[middle:])]

    def _accepted(self, row: PreparedRow, result: part_service_pb2.PartUpsertResult) -> bool:
        outcome = OUTCOMES.get(result.outcome)
        if outcome is None:
            fault = RowRejected(result.error_field, result.error_reason, result.error_message)
            self._report.reject(row.line, row.part.sku, fault)
            return False
        self._report.counts[outcome] += 1
        return True
