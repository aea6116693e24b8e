"""Power cuts: the file system below an instance is shut down without its journal; nothing acknowledged is lost."""
