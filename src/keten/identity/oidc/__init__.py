"""Signing in through an OpenID Connect provider: what it says of itself, its keys, its ID tokens. Pure; no network."""
