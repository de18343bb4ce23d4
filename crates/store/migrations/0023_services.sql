-- What invoices were for: the periods of their lines, as they were when they became final. The ledger's entries say how much.
CREATE TABLE invoice_services (
    scope TEXT NOT NULL,
    invoice TEXT NOT NULL,
    services TEXT NOT NULL,
    PRIMARY KEY (scope, invoice)
);
