-- Write one change of one level without an error for a repeated request.
-- `inventory_write_one` stays for processes of the release before.

CREATE FUNCTION inventory_write_one_if(
    n_principal text, n_request_id uuid, n_body_hash bytea, n_answer bytea,
    n_part text, n_location text, n_on_hand bigint, n_reserved bigint, n_version bigint, n_at timestamptz, n_by uuid,
    n_by_name text, n_kind text, n_on_hand_delta bigint, n_client_ip text, n_traceparent text, n_reason text
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    revision_now bigint;
BEGIN
    INSERT INTO request (principal, request_id, body_hash) VALUES (n_principal, n_request_id, n_body_hash)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE stock_level s
    SET on_hand = n_on_hand, reserved = n_reserved, version = n_version, updated_at = n_at, last_updated_by = n_by,
        last_updated_by_name = n_by_name
    WHERE s.part_id = n_part AND s.location_id = n_location AND s.version = n_version - 1;
    IF NOT FOUND THEN
        DELETE FROM request q WHERE q.principal = n_principal AND q.request_id = n_request_id;
        RETURN NULL;
    END IF;
    INSERT INTO stock_movement (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after,
                                reserved_after, actor, actor_name, source, client_ip, request_id, traceparent, reason,
                                occurred_at)
    VALUES (n_part, n_location, n_version, n_kind, n_on_hand_delta, 0, n_on_hand, n_reserved, n_by, n_by_name,
            'service', n_client_ip, n_request_id::text, n_traceparent, n_reason, n_at);
    revision_now := change_log_seal();
    UPDATE request q SET response = n_answer, revision = revision_now
    WHERE q.principal = n_principal AND q.request_id = n_request_id;
    RETURN revision_now;
END $$;
