"""Between a process and the kernel: records what it does to files, or makes one call of it fail (built by cc)."""
