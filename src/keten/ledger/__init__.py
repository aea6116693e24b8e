"""The ledger: append, seal, prove, verify, follow."""
