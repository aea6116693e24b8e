"""Every system call by which a process of Keten changes files fails once, each in turn."""
