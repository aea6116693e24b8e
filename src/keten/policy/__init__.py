"""Policy: the shipped Cedar policies, the decision they lead to, and the country that an address is in."""
