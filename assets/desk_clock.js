/* Time, for any view: the exchange's clock, ages that go on between answers, and since when the
   server has not answered. It is reached as window.pairdesk.clock. */
(function () {
  "use strict";

  const IDS = {
    answered: "live-answered",
    clock: "live-clock",
    cutOf: "live-z-of",
    feedAge: "live-feed-age",
    late: "live-verdict-late",
    next: "live-next-bar",
    silence: "silence",
    silenceAge: "silence-age",
  };
  const TICK_MS = 500;
  const PATIENCE_MS = 3000;
  const GRACE_MS = 15000; // as long as the server waits for a bar's close: CLOSING_GRACE_MS

  let ahead = null; // the exchange's clock less this page's own, which nobody can set
  let frameMs = null; // the feed's last word, by the exchange's clock
  let bar = null; // when the newest bar closed, and how long the next one takes
  let answeredAt = null;
  let askedAt = null; // the first question that waits for an answer
  let retryAt = null;
  const listeners = [];

  const root = () => document.documentElement;
  const own = () => performance.now();
  const now = () => own() + (ahead === null ? Date.now() - own() : ahead);
  const isLate = () => askedAt !== null && own() - askedAt >= PATIENCE_MS;
  const timeOf = (moment) => new Date(moment).toISOString().slice(11, 19);

  function span(ms) {
    const units = [[1000, "s", 100], [60000, "min", 100], [3600000, "h", 48], [86400000, "d", Infinity]];
    const [size, unit] = units.find(([unitMs, , limit]) => ms < unitMs * limit);
    const value = ms / size;
    return `${value < 9.95 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${unit}`;
  }

  /** An age as it is read at a glance: tenths while it is short. */
  function age(ms) {
    const since = Math.max(0, ms);
    return since < 10000 ? `${(since / 1000).toFixed(1)} s` : span(since);
  }

  function countdown(ms) {
    const seconds = Math.ceil(ms / 1000);
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return (parts[0] ? parts : parts.slice(1))
      .map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  }

  function show(id, words) {
    const part = document.getElementById(id);
    if (part && part.textContent !== words) {
      part.textContent = words;
    }
  }

  function mark(name, value) {
    if (root().dataset[name] !== value) {
      root().dataset[name] = value;
    }
  }

  /** What an answer says of time; what it leaves out stands. */
  function sync({ now_ms: nowMs, frame_ms: lastFrameMs }) {
    if (nowMs !== undefined) {
      ahead = nowMs - own();
    }
    if (lastFrameMs !== undefined) {
      frameMs = lastFrameMs;
    }
    tick();
  }

  function setBar(closedMs, stepMs) {
    bar = closedMs === null ? null : { closedMs, stepMs };
  }

  function asked() {
    askedAt = askedAt === null ? own() : askedAt;
  }

  function answered() {
    answeredAt = own();
    askedAt = null;
    retryAt = null;
    if (root().dataset.answer === "late") {
      tick();
    }
  }

  const answeredMs = () => now() - (own() - answeredAt);

  function tick() {
    const late = isLate();
    mark("answer", late ? "late" : "fresh");
    show(IDS.clock, ahead === null ? "" : `${timeOf(now())} UTC`);
    show(IDS.feedAge, frameMs === null ? "–" : age(now() - frameMs));
    show(IDS.answered, answeredAt === null ? "" : `last answer ${timeOf(answeredMs())}`);
    showBar();
    const of = late ? (answeredAt === null ? null : answeredMs()) : frameMs;
    show(IDS.cutOf, of === null ? "z-score" : `z-score of ${timeOf(of)}`);
    showSilence(late);
    for (const listener of listeners) {
      listener({ late, own: own() });
    }
  }

  function showBar() {
    const left = bar && bar.closedMs + bar.stepMs - now();
    // The bar that an open one's numbers are of may be long over when nothing new comes in.
    mark("forming", bar && left < -Math.min(GRACE_MS, bar.stepMs) ? "over" : "open");
    const due = left > 0 ? `next bar in ${countdown(left)}` : "next bar is due";
    // After a whole bar's time without it none is on its way: imported, replayed to the end, or cut.
    show(IDS.next, bar && bar.stepMs >= 60000 && left > -bar.stepMs ? due : "");
  }

  function showSilence(late) {
    const line = document.getElementById(IDS.silence);
    if (!line) {
      return;
    }
    line.hidden = !late;
    const since = answeredAt === null ? "" : ` since ${timeOf(answeredMs())} UTC`;
    show(IDS.late, late ? `Can't say: the server does not answer. The numbers are of ${timeOf(answeredMs())} UTC.` : "");
    const words = line.firstElementChild;
    const said = late ? `No answer from the desk's server${since}` : "";
    if (words.textContent !== said) {
      words.textContent = said;
    }
    const again = retryAt === null ? "" : `, next try in ${Math.max(0, Math.ceil((retryAt - own()) / 1000))} s`;
    show(IDS.silenceAge, late && answeredAt !== null ? `, ${span(own() - answeredAt)} ago${again}.` : "");
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && askedAt !== null) {
      askedAt = own(); // nobody waited meanwhile
    }
  });
  setInterval(() => document.hidden || tick(), TICK_MS);

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    clock: {
      sync, setBar, asked, answered, isLate, now, own, span, timeOf,
      every: (listener) => listeners.push(listener),
      retryAt: (moment) => { retryAt = moment; },
    },
  });
})();
