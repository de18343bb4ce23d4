-- Payments of the provider's guests that an operator has claimed for a customer of ours: nothing at the provider says whose they are.
CREATE TABLE payment_owners (
    scope TEXT NOT NULL,
    payment TEXT NOT NULL,
    customer TEXT NOT NULL,
    claimed_by TEXT NOT NULL,
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (scope, payment)
);
CREATE INDEX payment_owners_customer ON payment_owners (scope, customer);
