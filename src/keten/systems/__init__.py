"""Systems: databases of the organisation's own in which datasets live."""
