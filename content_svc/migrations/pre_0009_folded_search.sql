-- Fold Unicode forms in the search.
-- The expression of a generated column cannot be changed before PostgreSQL 17, so the column and its index are
-- created again. No part gets a new version: a generated column is no state of its own.

CREATE FUNCTION search_folded(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT normalize(replace(translate(lower(normalize(words, NFKC)), E'\u03C2', E'\u03C3'), E'\u00DF', 'ss'), NFKC)
$$;

CREATE OR REPLACE FUNCTION part_search_query(words text[]) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$
DECLARE
    word text;
    term tsquery;
    found tsquery := '';
BEGIN
    FOREACH word IN ARRAY words LOOP
        word := searchable(search_folded(word));
        term := plainto_tsquery('english', word)
            || to_tsquery('simple', '''' || replace(replace(word, '\', '\\'), '''', '''''') || ''':*');
        found := CASE WHEN numnode(found) = 0 THEN term WHEN numnode(term) = 0 THEN found ELSE found && term END;
    END LOOP;
    RETURN found;
END $$;

ALTER TABLE part DROP COLUMN search;
ALTER TABLE part ADD COLUMN search tsvector GENERATED ALWAYS AS (
    setweight(to_tsvector('simple', search_folded(part_id || ' ' || mpn)
                                    || ' ' || searchable(search_folded(manufacturer))), 'A')
    || setweight(to_tsvector('simple', searchable(search_folded(title))), 'A')
    || setweight(to_tsvector('english', searchable(search_folded(title))), 'B')
    || setweight(to_tsvector('simple', searchable(search_folded(summary))), 'C')
    || setweight(to_tsvector('english', searchable(search_folded(summary))), 'C')
    || setweight(to_tsvector('simple', searchable(search_folded(left(description, 20000)))), 'D')
    || setweight(to_tsvector('english', searchable(search_folded(left(description, 20000)))), 'D')
) STORED;
CREATE INDEX part_search ON part USING gin (search);
