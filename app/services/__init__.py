"""What the desk knows, for the page and the API alike: the store's rows and core's numbers."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.services.alerts import AlertService
from app.services.cache import ANSWER_BYTES, BoundedCache, ResultCache
from app.services.channels import ChannelService, read_channels
from app.services.found import FoundService
from app.services.jobs import JobService
from app.services.kernels import Kernels
from app.services.lab import LabService
from app.services.looks import STATUS_LOOK_MS, TICK_LOOK_MS, SharedLook
from app.services.market import MarketService
from app.services.pairs import PairService
from app.services.radar import RadarService
from app.services.scans import ScanService
from app.services.sessions import Sessions
from app.services.shared import SharedAnswers, SharedStore
from app.services.status import StatusService, take_stock
from app.services.trends import TrendService
from app.services.turns import SCREENS_A_S, SCREENS_AT_ONCE, Turns
from app.services.watchlist import WatchlistService
from app.services.web import TickTimes, WebProcesses
from app.services.worth import WorthService
from core.settings import Settings
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Desk:
    """Settings and one service a subject; one instance a process, safe between threads."""

    settings: Settings
    kernels: Kernels
    pairs: PairService
    worth: WorthService
    market: MarketService
    status: StatusService
    alerts: AlertService
    watchlist: WatchlistService
    channels: ChannelService
    found: FoundService
    trends: TrendService
    jobs: JobService
    lab: LabService
    scans: ScanService
    radar: RadarService
    web: WebProcesses
    ticks: TickTimes
    screens: Turns
    """Of clients whose rows were rewritten."""
    now_ms: Callable[[], int]
    """This machine's clock."""
    answers: ResultCache
    """Bodies that were made of the same things before."""
    shared: SharedStore
    """What other web processes know too."""
    shared_answers: SharedAnswers
    sessions: Sessions
    """Who has signed out, and when."""


def open_desk(
    settings: Settings,
    reader: Reader,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    answers: ResultCache | None = None,
    book: DeskBook | None = None,
) -> Desk:
    """Make the services over one store and one clock; nothing is read before the first question."""

    def now_ms() -> int:
        return int(clock() * 1000)

    shared = SharedStore(settings, monotonic)
    look = SharedLook(reader.snapshot, now_ms, TICK_LOOK_MS, monotonic)
    stock = SharedLook(lambda: take_stock(reader), now_ms, STATUS_LOOK_MS, monotonic)
    jobs = JobService(settings, reader, look, now_ms, book)
    scans = ScanService(reader, now_ms, monotonic)
    kernels = Kernels(settings)
    pairs = PairService(settings, reader, look, now_ms, kernels)
    alerts = AlertService(settings, reader, look, now_ms, book)
    told = SharedLook(lambda: read_channels(reader, now_ms()), now_ms, STATUS_LOOK_MS, monotonic)
    record = SharedLook(alerts.record, now_ms, TICK_LOOK_MS, monotonic)
    return Desk(
        settings,
        kernels,
        pairs,
        WorthService(pairs),
        MarketService(reader),
        StatusService(settings, reader, look, stock, now_ms, kernels, shared),
        alerts,
        WatchlistService(pairs, look, record, monotonic),
        ChannelService(settings, reader, told, now_ms, book),
        FoundService(reader, now_ms, monotonic),
        TrendService(reader, now_ms, monotonic),
        jobs,
        LabService(settings, jobs),
        scans,
        RadarService(settings, reader, look, scans),
        WebProcesses(now_ms, monotonic),
        TickTimes(),
        Turns(monotonic, SCREENS_A_S, SCREENS_AT_ONCE),
        now_ms,
        answers or ResultCache(BoundedCache(ANSWER_BYTES)),
        shared,
        SharedAnswers(shared, look),
        Sessions(look, now_ms, book),
    )
