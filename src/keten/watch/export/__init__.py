"""What the organisation's own monitoring gets: every entry as an event, in standard forms, to each destination."""
