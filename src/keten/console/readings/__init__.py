"""What each screen shows, read from the database in one transaction: frozen types, bounded queries by indices."""
