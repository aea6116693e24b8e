"""What is known of one person or client: where it went, who may erase it, what must not be erased yet."""
