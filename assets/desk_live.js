/* What of the Live view's callbacks runs in the browser; app/views/live/scripts.py binds desk_live. */
(function () {
  "use strict";

  const IDS = {
    cursor: "live-cursor",
    delta: "live-delta",
    emptyLink: "live-empty-link",
    copyLink: "copy-link",
    equityChart: "live-equity-chart",
    equityCsv: "live-equity-csv",
    expectancyChart: "live-expectancy-chart",
    overlay: "live-overlay",
    pairChart: "live-pair-chart",
    reload: "live-reload",
    request: "live-request",
    roundTrips: "live-round-trips",
    signal: "live-signal",
    symbols: "page-symbols",
    tradesCsv: "live-trades-csv",
    verdict: "live-verdict-line",
    worth: "live-worth",
  };
  const RELOAD_PAUSE_MS = 5000;
  const JUDGED_AFTER_MS = 400;

  // The screen shown: its figures' arrays grow with every delta.
  let shown = null;
  let shownAt = 0;
  let cursor = null; // how far the screen has come
  let ask = null;
  let judging = null;
  let symbolsListed = 0;
  let drawn = {}; // of which answer the expectancy chart is
  let over = {}; // what is drawn over the charts

  // Looked up when they are needed: scripts are loaded in no order.
  const shell = () => window.pairdesk.shell;
  const charts = () => window.pairdesk.charts;
  const clock = () => window.pairdesk.clock;
  const unchanged = () => shell().unchanged();
  const set = (id, props) => shell().set(id, props);
  const element = (id) => document.getElementById(id);

  function writeLooks(content) {
    if (content.looks) {
      element(IDS.signal).className = content.looks.signal;
      element(IDS.verdict).className = content.looks.verdict;
    }
    const words = shell().textOf("z");
    if (words && shown) {
      const cut = document.documentElement.dataset.feed === "cut" ? "(cut) " : "";
      document.title = `${cut}z ${words} · ${shell().textOf("leg-a")}/${shell().textOf("leg-b")} · Pairdesk`;
    }
  }

  function drawOver(changed, span) {
    over = { ...over, ...changed };
    window.pairdesk.overlay.draw(IDS.pairChart, IDS.overlay, over, span);
  }

  function spanOf() {
    return { first: cursor.first_ms, last: cursor.last_ms, step: shown.step_ms };
  }

  function showScreen(screen) {
    // What was told after a screen of the same parameters stands until it is told anew.
    shell().write(shown && shown.key === screen.key ? {} : screen.later);
    shown = screen;
    cursor = screen.cursor;
    window.pairdesk.controls.onScreen(screen.key);
    shownAt = Date.now();
    shell().write(screen.texts);
    shell().writeStrip(screen.strip);
    writeLooks(screen);
    shell().writeNotices(screen.notices);
    window.pairdesk.table.show(IDS.roundTrips, screen.trips);
    if (screen.symbols.length !== symbolsListed) {
      // Symbols that came in since the page was opened.
      symbolsListed = screen.symbols.length;
      set(IDS.symbols, { data: screen.symbols });
    }
    const [words, href] = screen.way_out || ["", "#"];
    Object.assign(element(IDS.emptyLink), { textContent: words, href });
    element(IDS.tradesCsv).href = screen.links.trades;
    element(IDS.equityCsv).href = screen.links.equity;
    const span = screen.figures ? spanOf() : null;
    window.pairdesk.candles.onScreen(screen);
    if (span) {
      charts().setEnds(screen.figures.pair, screen.ends, span);
    }
    clock().setBar(span && span.last + span.step, screen.step_ms);
    drawOver({ labels: screen.labels, ends: screen.ends, forming: screen.forming }, span);
    window.pairdesk.toasts.entered(screen.news);
    window.pairdesk.explain.onScreen(screen);
    clearTimeout(judging); // of the screen before
    if (screen.figures) {
      judgeSoon();
    }
  }

  /** Have the record judged, two hundred runs on noise, once one stays with a pair: who goes on to the
      next one is not to wait for them. */
  function judgeSoon() {
    clearTimeout(judging);
    judging = setTimeout(() => set(IDS.worth, { data: { query: shown.key } }), JUDGED_AFTER_MS);
  }

  /** Put what is newer than the screen on it. */
  function extend(delta) {
    if (delta.reload) {
      if (Date.now() - shownAt > RELOAD_PAUSE_MS || !shown.figures) {
        set(IDS.reload, { data: Date.now() });
      }
      return;
    }
    shell().write(delta.texts);
    shell().writeStrip(delta.strip);
    writeLooks(delta);
    shell().writeNotices(delta.notices);
    cursor = { ...cursor, ...delta.cursor };
    const span = shown.figures ? spanOf() : null;
    if (delta.rows) {
      clock().setBar(span.last + span.step, span.step);
      charts().append(shown.figures.pair, delta, span);
      charts().append(shown.figures.equity, delta, span);
      if (delta.trips) {
        window.pairdesk.table.change(delta.trips);
      }
      const isMarked = Object.keys(delta.marks).length > 0 || Boolean(delta.trips);
      charts().redraw(IDS.equityChart, isMarked);
      charts().redraw(IDS.pairChart, isMarked);
    }
    if (delta.ends || delta.forming) {
      drawOver({ ends: delta.ends || over.ends, forming: delta.forming || over.forming }, span);
    }
    window.pairdesk.toasts.entered(delta.news);
    if (delta.trips && delta.trips.add) {
      judgeSoon(); // another trade is another record
    }
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    live: { query: () => (shown ? shown.key : location.search) },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_live: {
      draw(screen) {
        if (!screen) {
          return [unchanged(), unchanged()];
        }
        if (screen !== shown) {
          showScreen(screen);
        }
        const figures = screen.figures || {};
        setTimeout(() => charts().watch(IDS.pairChart), 0);
        return [
          charts().figure(figures.pair, IDS.pairChart),
          charts().figure(figures.equity, IDS.equityChart),
        ];
      },

      /** What came after the screen: of another one it is left aside. */
      drawWorth(expectancy, noise, theme) {
        const own = (answer) => answer && shown && answer.key === shown.key;
        if (own(noise)) {
          shell().write(noise.texts);
        }
        const isDrawn = expectancy === drawn.expectancy && theme === drawn.theme;
        if (!own(expectancy) || isDrawn) {
          return unchanged();
        }
        drawn = { expectancy, theme };
        shell().write(expectancy.texts);
        return charts().figure(expectancy.figure, IDS.expectancyChart);
      },

      /** A beat of the clock: ask for what is newer. Of another screen than that on it, an answer is
          left aside. */
      beat(count, request) {
        if (cursor && request) {
          const told = cursor;
          ask = ask || window.pairdesk.asker(`${IDS.delta}.data`);
          ask({ [`${IDS.cursor}.data`]: told }, { [`${IDS.request}.data`]: request })
            .then((delta) => delta && cursor === told && extend(delta));
        }
        return unchanged();
      },

      /** The clock stands while nobody looks. */
      pause() {
        return document.hidden;
      },

      fold(clicks, expanded) {
        return String(expanded !== "true");
      },

      unfold(clicks, open) {
        return [!open, String(!open)];
      },

      copyLink(clicks, request) {
        if (!clicks || !request) {
          return unchanged();
        }
        const link = `${location.origin}${location.pathname}?${request.query}`;
        const done = (words) => {
          set(IDS.copyLink, { children: words });
          setTimeout(() => set(IDS.copyLink, { children: "Copy link" }), 2000);
        };
        if (!navigator.clipboard) {
          // Not a secure context: the address bar holds the same link.
          return "Copy from address bar";
        }
        navigator.clipboard.writeText(link).then(
          () => done("Copied"),
          () => done("Copy from address bar"),
        );
        return unchanged();
      },
    },
  });
})();
