"""kill -9 of any process at any moment under load: nothing acknowledged is lost, nothing is served without an entry."""
