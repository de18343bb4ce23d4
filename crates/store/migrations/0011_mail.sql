-- Mails as they were sent: one row for each message, however often it was sent. Proof of what a customer was told.
CREATE TABLE mails (
    seq {IDENTITY},
    -- Made from the notice's natural key: a second sending after a crash is the same message.
    message_id TEXT NOT NULL UNIQUE,
    delivery BIGINT,
    customer TEXT,
    kind TEXT NOT NULL,
    language TEXT NOT NULL,
    -- Which wording, and which rules asked for it.
    template TEXT NOT NULL,
    rules TEXT,
    -- A digest of customer and address, or the address itself where the mail was captured.
    address TEXT NOT NULL,
    subject TEXT,
    -- Links are left out: whoever reads this table cannot act for a customer.
    text TEXT,
    html TEXT,
    sha256 TEXT NOT NULL,
    captured BOOLEAN NOT NULL,
    sends BIGINT NOT NULL,
    sent_at BIGINT NOT NULL
);
CREATE INDEX mails_customer ON mails (customer, seq);
CREATE INDEX mails_delivery ON mails (delivery);
CREATE INDEX mails_captured ON mails (seq) WHERE captured;

-- Which mails a customer does not want, among those that may be declined.
CREATE TABLE notice_preferences (
    customer TEXT NOT NULL REFERENCES customers (id),
    kind TEXT NOT NULL,
    wanted BOOLEAN NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (customer, kind)
);
