"""One job in a process of its own: claimed by the analyst, done here, its answer kept."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import orjson
import structlog

from core.errors import PairdeskError, StoreError
from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.analysis.honesty import check_pair
from ingest.analysis.lab import sweep_pair, walk_pair
from ingest.analysis.report import report_pair
from ingest.analysis.scanning import scan_market
from ingest.analysis.work import Answer, NotWanted, Work
from ingest.store import jobs
from ingest.store.reader import Reader
from ingest.store.transaction import durable_writer

log = structlog.get_logger()

WORK: Mapping[str, Callable[[Work], Answer]] = MappingProxyType(
    {
        "scan": scan_market,
        "sweep": sweep_pair,
        "walk_forward": walk_pair,
        "report": report_pair,
        "honesty": check_pair,
    }
)
"""What does each kind of `core.job_spec.JOB_KINDS`."""


def work_off(
    job_id: int, settings: Settings, url: str, give_back: Callable[[], None] = lambda: None
) -> int:
    """Do one job of a database that was claimed for this process; the exit code.

    `give_back` lets the machine have memory that nothing needs any more.
    """
    reader, writer = Reader(url), durable_writer(url)
    try:
        stored = reader.job(job_id)
        if stored is None or stored.state != jobs.RUNNING:
            log.warning("there is no such job to be done", job=job_id)
            return 1
        try:
            spec = read_job_spec(stored.body, settings)
            work = Work(settings, reader, writer, job_id, stored.tries, spec, give_back=give_back)
            content, words = WORK[spec.kind](work)
            packed = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
            with writer.transaction() as tx:
                jobs.finish(tx, job_id, stored.tries, packed, words, _now_ms())
        except NotWanted:
            log.info("a job is wanted no more", job=job_id)
        except (PairdeskError, OSError, MemoryError) as error:
            words = error.public if isinstance(error, StoreError) else str(error)
            log.warning("a job can't be done", job=job_id, kind=stored.kind, reason=str(error))
            with writer.transaction() as tx:
                jobs.fail(tx, job_id, stored.tries, words or type(error).__name__, _now_ms())
        except Exception as error:  # a fault of ours: the same again would end the same way
            log.exception("a job failed as nobody expected", job=job_id, kind=stored.kind)
            words = f"an error that nobody expected ({type(error).__name__}); the log has more"
            with writer.transaction() as tx:
                jobs.fail(tx, job_id, stored.tries, words, _now_ms())
    finally:
        reader.close()
        writer.close()
    return 0


def _now_ms() -> int:
    return int(time.time() * 1_000)
