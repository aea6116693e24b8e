"""The operator's commands: they work on an instance on this machine, through its keeper."""
