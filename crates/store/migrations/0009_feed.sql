-- Changes of entitlements, for copies elsewhere. A transaction that changes what a customer holds leaves a row in
-- feed_pending; whoever follows the changes gives those that are committed their positions, one at a time under the lock of
-- feed_counter. So positions follow the order of commits, and nobody who has read up to one can have missed an earlier one.

CREATE TABLE feed_pending (
    seq {IDENTITY},
    customer TEXT NOT NULL
);

-- The position of each customer's newest change: copies are told states, not steps.
CREATE TABLE feed (
    customer TEXT PRIMARY KEY,
    position BIGINT NOT NULL UNIQUE
);

CREATE TABLE feed_counter (
    id BIGINT PRIMARY KEY,
    position BIGINT NOT NULL
);
INSERT INTO feed_counter (id, position) VALUES (1, 0);
