"""`keten up`: starts the processes of an instance, starts again what dies, and stops them in good order."""
