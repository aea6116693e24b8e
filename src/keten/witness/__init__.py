"""A witness of other institutions' logs (c2sp.org/tlog-witness): a process and a folder of its own, no instance."""
