"""What `/api` and `/v1` say of themselves in OpenAPI, tried on a running instance with requests made from it."""
