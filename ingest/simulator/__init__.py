"""A Binance-speaking exchange on loopback: REST and WebSocket over a seeded market."""

from ingest.simulator.ledger import Ledger
from ingest.simulator.server import SimulatedExchange, run, serve
from ingest.simulator.session import SessionLimits

__all__ = ["Ledger", "SessionLimits", "SimulatedExchange", "run", "serve"]
