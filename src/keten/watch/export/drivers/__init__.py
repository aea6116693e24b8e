"""One file for each kind of receiver; `driver.py` says what all of them promise."""
