"""The gateway's fixtures: a short place, and the database that the session asks for."""

from tests.unit.gateway.conftest import database_kind, database_url, place, postgres

__all__ = ["database_kind", "database_url", "place", "postgres"]
