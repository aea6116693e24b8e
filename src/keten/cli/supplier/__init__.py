"""The supplier's commands: they speak with an instance over HTTPS and keep its ledger honest."""
