/* What of the Live view's callbacks runs in the browser; app/views/live/scripts.py binds desk_live. */
(function () {
  "use strict";

  const IDS = {
    busy: "live-busy",
    emptyLink: "live-empty-link",
    copyLink: "copy-link",
    equityChart: "live-equity-chart",
    equityCsv: "live-equity-csv",
    expectancyChart: "live-expectancy-chart",
    overlay: "live-overlay",
    pairChart: "live-pair-chart",
    roundTrips: "live-round-trips",
    signal: "live-signal",
    symbols: "page-symbols",
    tradesCsv: "live-trades-csv",
    verdict: "live-verdict-line",
  };
  const RELOAD_PAUSE_MS = 5000;
  const RETRY_MS = 3000;

  // The screen shown: its figures' arrays grow with every delta.
  let shown = null;
  let shownAt = 0;
  let busySince = null; // a question whose answer may never come: dash does not say
  let symbolsListed = 0;
  let drawn = {}; // of which answer the expectancy chart is
  let over = {}; // what is drawn over the charts

  // Looked up when they are needed: scripts are loaded in no order.
  const shell = () => window.pairdesk.shell;
  const charts = () => window.pairdesk.charts;
  const clock = () => window.pairdesk.clock;
  const unchanged = () => shell().unchanged();
  const set = (id, props) => shell().set(id, props);

  function writeLooks(content) {
    if (content.looks) {
      set(IDS.signal, { className: content.looks.signal });
      set(IDS.verdict, { className: content.looks.verdict });
    }
    const words = shell().textOf("z");
    if (words && shown) {
      const cut = document.documentElement.dataset.feed === "cut" ? "(cut) " : "";
      document.title = `${cut}z ${words} · ${shell().textOf("leg-a")}/${shell().textOf("leg-b")} · Pairdesk`;
    }
  }

  function drawOver(changed, span) {
    over = { ...over, ...changed };
    charts().drawOver(IDS.pairChart, IDS.overlay, over, span);
  }

  function spanOf(cursor) {
    return { first: cursor.first_ms, last: cursor.last_ms, step: shown.step_ms };
  }

  function showScreen(screen) {
    // What was told after a screen of the same parameters stands until it is told anew.
    shell().write(shown && shown.key === screen.key ? {} : screen.later);
    shown = screen;
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
    set(IDS.emptyLink, { children: words, href });
    set(IDS.tradesCsv, { href: screen.links.trades });
    set(IDS.equityCsv, { href: screen.links.equity });
    const span = screen.figures ? spanOf(screen.cursor) : null;
    window.pairdesk.candles.onScreen(screen);
    if (span) {
      charts().setEnds(screen.figures.pair, screen.ends, span);
    }
    clock().setBar(span && span.last + span.step, screen.step_ms);
    drawOver({ labels: screen.labels, ends: screen.ends, forming: screen.forming }, span);
    window.pairdesk.toasts.entered(screen.news);
    window.pairdesk.explain.onScreen(screen);
  }

  let watching = false;

  function watchSilence() {
    if (!watching) {
      watching = true;
      clock().every(({ own }) => {
        if (busySince !== null && own - busySince >= RETRY_MS) {
          busySince = null;
          set(IDS.busy, { data: false });
        }
      });
    }
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    live: { query: () => (shown ? shown.key : location.search) },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_live: {
      draw(screen) {
        if (!screen) {
          return [unchanged(), unchanged(), unchanged(), unchanged()];
        }
        const isNew = screen !== shown;
        if (isNew) {
          showScreen(screen);
        }
        const figures = screen.figures || {};
        setTimeout(() => charts().watch(IDS.pairChart), 0);
        return [
          charts().figure(figures.pair, IDS.pairChart),
          charts().figure(figures.equity, IDS.equityChart),
          isNew ? screen.cursor : unchanged(),
          isNew && screen.figures ? { query: screen.key } : unchanged(),
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

      extend(delta, cursor) {
        if (!delta || !shown || !cursor || delta.key !== cursor.key) {
          return [unchanged(), unchanged(), unchanged()];
        }
        if (delta.reload) {
          const due = Date.now() - shownAt > RELOAD_PAUSE_MS || !shown.figures;
          return [unchanged(), due ? Date.now() : unchanged(), unchanged()];
        }
        if (delta.rows && delta.after !== cursor.last_ms) {
          return [unchanged(), unchanged(), unchanged()];
        }
        shell().write(delta.texts);
        shell().writeStrip(delta.strip);
        writeLooks(delta);
        shell().writeNotices(delta.notices);
        const next = { ...cursor, ...delta.cursor };
        const span = shown.figures ? spanOf(next) : null;
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
        // Another trade is another record: it is judged again.
        return [next, unchanged(), delta.trips && delta.trips.add ? { query: delta.key } : unchanged()];
      },

      /** The clock stands while a delta is under way or nobody looks; silence never stops it. */
      pause(busy) {
        watchSilence();
        busySince = busy ? clock().own() : null;
        clock().retryAt(busy ? busySince + RETRY_MS : null);
        return Boolean(busy) || document.hidden;
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
