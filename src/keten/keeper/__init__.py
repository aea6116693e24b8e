"""The keeper: the trusted process. Its sockets, its verbs (each calls one room) and its client."""
