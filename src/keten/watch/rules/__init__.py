"""Rules of an organisation's own, as Sigma: read, checked, and asked about every event like a detector."""
