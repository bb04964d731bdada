-- Record where the epochs of a log ended.

CREATE TABLE log_ending (
    service text NOT NULL,
    epoch uuid NOT NULL,
    revision bigint NOT NULL CONSTRAINT ending_not_negative CHECK (revision >= 0),
    continued_after bigint NOT NULL CONSTRAINT continuation_not_negative CHECK (continued_after >= 0),
    ended_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT log_ending_pkey PRIMARY KEY (service, epoch)
);
CREATE TRIGGER log_ending_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_ending
    FOR EACH STATEMENT EXECUTE FUNCTION data_change_is_append_only();
