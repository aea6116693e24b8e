"""How an older database becomes one of this version. Started by `keten.core.upgrade` only.

A new revision is a file in `versions/`; `tests/unit/core/test_upgrade.py` fails until the upgraded schema is that of
the tables in the code. A revision says all it does by itself and imports nothing of Keten: the code moves on, what was
done to a database does not. Statements are such that PostgreSQL could run them as well.
"""
