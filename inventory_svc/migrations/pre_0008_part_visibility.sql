-- Store which parts are published, as the content service reports it.

CREATE TABLE part_visibility (
    part_id part_identifier NOT NULL CONSTRAINT part_visibility_pkey PRIMARY KEY,
    published boolean NOT NULL,
    revision bigint NOT NULL CONSTRAINT visibility_revision_not_negative CHECK (revision >= 0)
);
CREATE TABLE part_visibility_position (
    only_row boolean NOT NULL DEFAULT true
        CONSTRAINT part_visibility_position_pkey PRIMARY KEY
        CONSTRAINT visibility_has_one_position CHECK (only_row),
    epoch uuid NOT NULL,
    revision bigint NOT NULL
);
