"""Getting back in without a passkey, in a way that no caller can win: cases, their rules, their entries."""
