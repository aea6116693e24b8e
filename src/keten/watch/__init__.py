"""Detection on the ledger as it grows, alerts, responses, and events for others' monitoring."""
