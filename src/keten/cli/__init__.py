"""The command line: for operators on the instance's machine, and for the systems of suppliers. Decides nothing."""
