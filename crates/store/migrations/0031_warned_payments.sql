-- Warnings of a payment that nobody of ours has made: looked for by the payment alone.
CREATE INDEX fraud_warnings_payment ON fraud_warnings (scope, payment);
