"""The register: the organisation, its suppliers, their contracts and what is granted under them."""
