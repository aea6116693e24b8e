"""Many clients for a long time, with faults: everything is recorded, and memory and handles stay flat."""
