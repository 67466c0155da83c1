"""One file a provider: pure translation between the Responses protocol and the provider's own API."""
