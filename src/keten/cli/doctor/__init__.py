"""`keten doctor`: what is wrong or weak with an instance. Unknown is never shown as fine."""
