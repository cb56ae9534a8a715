CREATE TABLE events (
    seq            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             uuid        NOT NULL UNIQUE,
    consignment_id uuid        NOT NULL REFERENCES consignments (id),
    status         text        NOT NULL,
    location       text        NOT NULL,
    signed_by      text        NOT NULL,
    at             timestamptz NOT NULL
);

CREATE INDEX events_consignment_idx ON events (consignment_id, seq);
