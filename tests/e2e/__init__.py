"""The whole system: real gateways, services and workers, as their users start them."""
