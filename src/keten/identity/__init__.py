"""Principals: people and clients, the proofs they show, and the sessions they get."""
