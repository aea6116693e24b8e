"""What all campaigns share: numbered cases of a seed, kept in a file so that they can go on later, and a table."""
