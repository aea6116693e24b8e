"""Ground floor: ids, clock, errors, database, storage, cryptography and settings. Imports no other room."""
