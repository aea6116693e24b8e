"""The gateway: the exposed process. It speaks HTTPS and SFTP, and decides nothing.

It has no database, no register and no key but its own TLS and SSH host key. Everything that leaves goes through
one `Delivery` (`delivery.py`), which the keeper opened and recorded before (laws 1 to 3).
"""
