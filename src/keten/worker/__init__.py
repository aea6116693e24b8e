"""The worker's process: brings the ledger's heads to outsiders, and what they sign to the keeper. It has no key."""
