-- What is asked for again and again is found without reading a whole table.
CREATE INDEX checkouts_customer ON checkouts (customer);
CREATE INDEX commands_parked ON commands (parked_at) WHERE parked_at IS NOT NULL AND state = 'pending';

-- In the order in which aggregates are claimed: a long backlog is not sorted anew for every claim.
DROP INDEX aggregates_due;
CREATE INDEX aggregates_due ON aggregates (priority DESC, next_attempt_at) WHERE done < wanted AND parked_at IS NULL;
