"""The one thing that the web writes: what its users ask for."""

import hashlib
import threading

from core.job_spec import JobSpec
from core.rule_spec import RuleSpec
from ingest.store import channels, jobs, process, rules
from ingest.store.transaction import durable_writer


def signed_out_key(name: str) -> str:
    """Key in `meta` of when a user has signed out last: as long for any name, which it hides."""
    return f"signed_out.{hashlib.sha256(name.encode()).hexdigest()[:24]}"


class DeskBook:
    """What the web writes: rules, acknowledgements, tries of channels, jobs, sign-outs.

    Safe between threads.

    Nothing is opened before the first use, so a process may fork between.
    """

    def __init__(self, url: str) -> None:
        self._writer = durable_writer(url)
        self._lock = threading.Lock()

    def create(self, spec: RuleSpec, born_ms: int, now_ms: int) -> rules.StoredRule:
        """Keep a new rule, see `ingest.store.rules.create`."""
        with self._lock, self._writer.transaction() as tx:
            return rules.create(tx, spec, born_ms, now_ms)

    def edit(
        self, rule_id: int, spec: RuleSpec, born_ms: int, now_ms: int
    ) -> rules.StoredRule | None:
        """Make a new version, see `ingest.store.rules.edit`."""
        with self._lock, self._writer.transaction() as tx:
            return rules.edit(tx, rule_id, spec, born_ms, now_ms)

    def delete(self, rule_id: int, now_ms: int) -> bool:
        """Judge a rule no more, see `ingest.store.rules.delete`."""
        with self._lock, self._writer.transaction() as tx:
            return rules.delete(tx, rule_id, now_ms)

    def acknowledge(self, episode_id: int, who: str, now_ms: int) -> bool:
        """Say that an episode was seen, see `ingest.store.rules.acknowledge`."""
        with self._lock, self._writer.transaction() as tx:
            return rules.acknowledge(tx, episode_id, who, now_ms)

    def ask_test(self, channel: str, now_ms: int) -> None:
        """Have a channel tried, see `ingest.store.channels`."""
        with self._lock, self._writer.transaction() as tx:
            channels.ask_test(tx, channel, now_ms)

    def ask_job(self, spec: JobSpec, asked_by: str, now_ms: int) -> int | None:
        """Have a job done, see `ingest.store.jobs`."""
        with self._lock, self._writer.transaction() as tx:
            return jobs.ask(tx, spec, asked_by, now_ms)

    def cancel_job(self, job_id: int, now_ms: int) -> bool:
        """End a job that has not ended, see `ingest.store.jobs`."""
        with self._lock, self._writer.transaction() as tx:
            return jobs.cancel(tx, job_id, now_ms)

    def end_sessions(self, name: str, ended_ms: int) -> None:
        """Let no session of a user that began by then be good for anything any more."""
        with self._lock, self._writer.transaction() as tx:
            process.set_meta(tx, signed_out_key(name), str(int(ended_ms)))

    def close(self) -> None:
        """Give every connection back."""
        self._writer.close()
