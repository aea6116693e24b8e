"""`keten demo`: a Dutch municipality with three suppliers, made at once with real content, and running."""
