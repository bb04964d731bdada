-- Read back the entries that a transaction has written to the log.

CREATE FUNCTION change_log_written(last_known bigint, last_written bigint) RETURNS SETOF change_log
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF last_known > 0 AND last_written - last_known BETWEEN 1 AND 64 THEN
        RETURN QUERY SELECT l.* FROM change_log AS l
            WHERE l.revision BETWEEN last_known AND last_written ORDER BY l.revision;
    END IF;
END $$;
