-- What operators did: written before it is done, and how it ended beside it. Never changed, never removed.

CREATE TABLE audit (
    seq {IDENTITY},
    at BIGINT NOT NULL,
    -- The API key's id, or the user of the command line.
    actor TEXT NOT NULL,
    way TEXT NOT NULL CHECK (way IN ('api', 'console')),
    -- What was done, such as `POST /v1/parked/retry` or `parked retry`.
    action TEXT NOT NULL,
    -- The path, or what the command named.
    target TEXT NOT NULL,
    -- What was sent, without secrets and personal data, JSON.
    input TEXT
);
CREATE TABLE audit_ends (
    act BIGINT PRIMARY KEY REFERENCES audit (seq),
    at BIGINT NOT NULL,
    -- The problem's code; absent when it was done.
    problem TEXT
);

--! sqlite
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_remains BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_ends_stay BEFORE UPDATE ON audit_ends
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_ends_remain BEFORE DELETE ON audit_ends
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
--! end
--! pg
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_ends_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_ends
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
--! end
