CREATE TABLE consignments (
    id           uuid        PRIMARY KEY,
    reference    text        NOT NULL CONSTRAINT consignments_reference_key UNIQUE,
    shipper      text        NOT NULL,
    consignee    text        NOT NULL,
    origin       text        NOT NULL,
    destination  text        NOT NULL,
    weight_grams bigint      NOT NULL CHECK (weight_grams > 0),
    status       text        NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
