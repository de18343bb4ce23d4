-- The ledger: double entry, and never changed. What is wrong is taken back by an entry that reverses it.

CREATE TABLE ledger_entries (
    seq {IDENTITY},
    -- The natural key: what it stands for, and how often that was corrected.
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    revision BIGINT NOT NULL,
    -- Takes the revision before it back.
    reverses BOOLEAN NOT NULL,
    -- When it became so, by the provider's clock.
    at BIGINT NOT NULL,
    posted_at BIGINT NOT NULL,
    detail TEXT NOT NULL,
    source TEXT,
    payment TEXT,
    provider_customer TEXT,
    UNIQUE (scope, kind, object, revision)
);
CREATE INDEX ledger_entries_scope ON ledger_entries (scope, seq);
CREATE INDEX ledger_entries_customer ON ledger_entries (provider_customer) WHERE provider_customer IS NOT NULL;
CREATE INDEX ledger_entries_payment ON ledger_entries (payment) WHERE payment IS NOT NULL;
CREATE INDEX ledger_entries_payouts ON ledger_entries (scope, source) WHERE detail IN ('payout', 'payout_cancel', 'payout_failure');

CREATE TABLE ledger_postings (
    entry BIGINT NOT NULL REFERENCES ledger_entries (seq),
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    -- Minor units; a debit is positive, a credit negative.
    amount BIGINT NOT NULL,
    -- Scope and time of the entry, so that balances are read from one index.
    scope TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (entry, account, currency)
);
CREATE INDEX ledger_postings_account ON ledger_postings (scope, account, currency, at, amount);

--! sqlite
CREATE TRIGGER ledger_entries_stay BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: correct it by a reversal'); END;
CREATE TRIGGER ledger_entries_remain BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: correct it by a reversal'); END;
CREATE TRIGGER ledger_postings_stay BEFORE UPDATE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: correct it by a reversal'); END;
CREATE TRIGGER ledger_postings_remain BEFORE DELETE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: correct it by a reversal'); END;
--! end
--! pg
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the ledger is append-only: correct it by a reversal'; END $$;
CREATE TRIGGER ledger_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_postings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
--! end
