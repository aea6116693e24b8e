"""Flow and proxy logs of the organisation: what went to suppliers' systems, by whatever way."""
