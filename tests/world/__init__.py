"""A made-up world of suppliers at work, and thieves among them, to measure the watch with. All of it is synthetic."""
