-- What the app is told: the log of changes, what it was told last of each customer, and where it listens.

CREATE TABLE app_events (
    seq {IDENTITY},
    id TEXT NOT NULL UNIQUE,
    -- What makes it this change and no other: each is written down once.
    natural_key TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    -- Absent only for a test message.
    customer TEXT,
    at BIGINT NOT NULL,
    -- The very bytes that are signed and sent, also when it is sent again later.
    body TEXT NOT NULL
);
CREATE INDEX app_events_customer ON app_events (customer, seq);
CREATE INDEX app_events_at ON app_events (at);

--! sqlite
CREATE TRIGGER app_events_stay BEFORE UPDATE ON app_events
BEGIN SELECT RAISE(ABORT, 'what the app was told is never changed'); END;
--! end
--! pg
CREATE FUNCTION app_events_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'what the app was told is never changed'; END $$;
CREATE TRIGGER app_events_stay BEFORE UPDATE ON app_events
FOR EACH STATEMENT EXECUTE FUNCTION app_events_never_change();
--! end

-- What the app was told last of a customer's access and entitlements, so that a difference is told once, whatever made
-- it: a sync, an operator, or time alone.
CREATE TABLE app_told (
    customer TEXT PRIMARY KEY,
    access TEXT,
    digest TEXT NOT NULL,
    -- Grows with each telling: part of the natural key.
    turn BIGINT NOT NULL,
    -- When something that the customer holds ends by itself.
    look_at BIGINT
);
CREATE INDEX app_told_look ON app_told (look_at) WHERE look_at IS NOT NULL;

CREATE TABLE webhook_endpoints (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- The types that it wants, separated by commas; empty for all.
    types TEXT NOT NULL,
    -- Encrypted under the root key.
    secret TEXT NOT NULL,
    -- The secret before, which signs as well until then.
    old_secret TEXT,
    old_secret_until BIGINT,
    disabled_at BIGINT,
    disabled_why TEXT,
    -- Since when every attempt has failed.
    failing_since BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
