"""The gateway's world, for its pages."""

from tests.unit.gateway.conftest import database_kind, database_url, place, postgres

__all__ = ["database_kind", "database_url", "place", "postgres"]
