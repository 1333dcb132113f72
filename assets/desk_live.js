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
    expectancy: "live-expectancy",
    expectancyChart: "live-expectancy-chart",
    main: "live-main",
    noise: "live-noise",
    overlay: "live-overlay",
    pairChart: "live-pair-chart",
    reload: "live-reload",
    request: "live-request",
    roundTrips: "live-round-trips",
    screen: "live-screen",
    signal: "live-signal",
    symbols: "page-symbols",
    tradesCsv: "live-trades-csv",
    verdict: "live-verdict-line",
    worth: "live-worth",
  };
  const RELOAD_PAUSE_MS = 5000;
  const FADES_AFTER_MS = 300; // what comes sooner needs no sign that it will
  const JUDGED_AFTER_MS = 400;

  // The screen shown: its figures' arrays grow with every delta.
  let shown = null;
  let shownAt = 0;
  let cursor = null; // how far the screen has come
  let requested = null; // what the screen was asked for with
  let wanted = null; // the same of the one asked for last
  let fading = null;
  let judging = null;
  let worth = null; // the newest answer of the expectancy chart
  let symbolsListed = 0;
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

  const askers = new Map();

  /** Ask the server for one of the view's parts; see desk_ask.js. */
  function ask(id, inputs, state = {}, isUrgent = false) {
    const output = `${id}.data`;
    const named = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [`${name}.data`, value]));
    if (!askers.has(output)) {
      askers.set(output, window.pairdesk.asker(output));
    }
    return askers.get(output)(named(inputs), named(state), isUrgent);
  }

  const isSame = (one, other) => Boolean(one && other) && one.query === other.query && one.note === other.note;

  /** Ask for a whole screen; one of anything else that is under way is given up. */
  async function load(request) {
    const isOther = !isSame(request, wanted);
    wanted = request;
    clearTimeout(fading);
    fading = setTimeout(() => element(IDS.main).classList.add("loading"), FADES_AFTER_MS);
    const screen = await ask(IDS.screen, { [IDS.request]: request, [IDS.reload]: null }, {}, isOther);
    if (screen === null || !isSame(request, wanted)) {
      return; // it is under way, or nobody waits for it any more
    }
    if (screen) {
      requested = request;
      showScreen(screen);
    }
    clearTimeout(fading);
    element(IDS.main).classList.remove("loading");
  }

  /** Have it on screen, if it is not there. */
  function need(request) {
    if (!(isSame(request, requested) && isSame(request, wanted))) {
      load(request);
    }
  }

  function drawCharts() {
    const { pair, equity } = shown.figures || {};
    charts().show(IDS.pairChart, pair, true);
    setTimeout(() => charts().show(IDS.equityChart, equity), 0); // what is looked at first is there first
  }

  function spanOf() {
    return { first: cursor.first_ms, last: cursor.last_ms, step: shown.step_ms };
  }

  function showScreen(screen) {
    // What was told after a screen of the same parameters stands until it is told anew.
    const before = shown && shown.key === screen.key ? {} : screen.later;
    shown = screen;
    cursor = screen.cursor;
    const span = screen.figures ? spanOf() : null;
    Object.values(screen.figures || {}).forEach((figure) => window.pairdesk.lines.unpack(figure));
    // The charts come first: they measure the page, and what is written before is laid out for each look.
    window.pairdesk.candles.onScreen(screen);
    if (span) {
      charts().setEnds(screen.figures.pair, screen.ends, span);
    }
    drawOver({ labels: screen.labels, ends: screen.ends, forming: screen.forming }, span);
    drawCharts();
    window.pairdesk.controls.onScreen(screen.key);
    shownAt = Date.now();
    shell().write({ ...before, ...screen.texts });
    window.pairdesk.crosshair.draw(); // it names the legs
    clock().setBar(span && span.last + span.step, screen.step_ms);
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
    judging = setTimeout(() => {
      // Each by itself: the chart does not wait for the runs on noise.
      for (const part of [IDS.expectancy, IDS.noise]) {
        ask(part, { [IDS.worth]: { query: shown.key } }, {}, true).then(showWorth);
      }
    }, JUDGED_AFTER_MS);
  }

  /** What came after the screen: of another one it is left aside. */
  function showWorth(answer) {
    if (!answer || answer.key !== shown.key) {
      return;
    }
    shell().write(answer.texts);
    if (answer.figure) {
      worth = answer;
      charts().show(IDS.expectancyChart, worth.figure);
    }
  }

  /** A beat of the clock: ask for what is newer. Of another screen than that on it, an answer is left
      aside. */
  async function beat() {
    const told = cursor;
    if (told) {
      const delta = await ask(IDS.delta, { [IDS.cursor]: told }, { [IDS.request]: requested });
      if (delta && cursor === told) {
        extend(delta);
      }
    }
  }

  /** Put what is newer than the screen on it. */
  function extend(delta) {
    if (delta.reload) {
      if (Date.now() - shownAt > RELOAD_PAUSE_MS || !shown.figures) {
        load(requested);
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
      charts().redraw(IDS.equityChart);
      charts().redraw(IDS.pairChart);
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
    live: {
      beat,
      /** What is likely to be asked for: the answer need not wait until dash has gone round. */
      expect: (query) => need({ query, note: "" }),
      query: () => (shown ? shown.key : location.search),
    },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_live: {
      /** What the server made of controls and link. */
      show(request) {
        if (request) {
          need(request);
        }
        return unchanged();
      },

      /** The charts in the colours of another theme. */
      paint() {
        if (shown) {
          drawCharts();
          showWorth(worth);
        }
        return unchanged();
      },

      fold(clicks, expanded) {
        return String(expanded !== "true");
      },

      unfold(clicks, open) {
        return [!open, String(!open)];
      },

      copyLink(clicks) {
        if (!clicks || !shown) {
          return unchanged();
        }
        const link = `${location.origin}${location.pathname}?${shown.key}`;
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
