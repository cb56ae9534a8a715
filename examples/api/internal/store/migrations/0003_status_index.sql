-- The list of consignments is filtered by status and paged by id.
CREATE INDEX consignments_status_idx ON consignments (status, id DESC);
