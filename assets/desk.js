/* What of the callbacks runs in the browser; app/views/live/scripts.py binds these functions. */
(function () {
  "use strict";

  const RELOAD_PAUSE_MS = 5000;
  const PATIENCE_MS = 10000;
  const TOASTS_KEPT = 50;
  const TOAST_KEY = "pairdesk.toasts";
  const charts = window.pairdeskCharts;

  // The screen shown: its figures' arrays grow with every delta.
  let shown = null;
  let shownAt = 0;
  let watchdog = null;
  let silent = false;
  let symbolsListed = 0;
  const texts = new Map();

  const unchanged = () => window.dash_clientside.no_update;
  const set = (id, props) => window.dash_clientside.set_props(id, props);

  function write(changed) {
    for (const [key, words] of Object.entries(changed || {})) {
      if (texts.get(key) !== words) {
        texts.set(key, words);
        set(`live-${key}`, { children: words, title: words });
      }
    }
  }

  function writeStrip(strip) {
    if (strip) {
      write(strip.texts);
      set("live-badge", {
        children: strip.badge.label,
        title: strip.badge.words,
        className: `badge-desk ${strip.badge.look}`,
      });
    }
  }

  function writeSignal(content) {
    if (content.signal) {
      const look = { long_spread: "long", short_spread: "short" }[content.signal] || "";
      set("live-signal", { className: look });
    }
    const words = texts.get("z");
    if (words && shown) {
      document.title = `z ${words} · ${texts.get("leg-a")}/${texts.get("leg-b")} · Pairdesk`;
    }
  }

  function announced() {
    try {
      return JSON.parse(localStorage.getItem(TOAST_KEY)) || [];
    } catch (error) {
      return [];
    }
  }

  /** Once per crossing, also across reloads. */
  function toast(crossing) {
    if (!crossing) {
      return;
    }
    const seen = announced();
    if (seen.includes(crossing.id)) {
      return;
    }
    try {
      localStorage.setItem(TOAST_KEY, JSON.stringify([...seen, crossing.id].slice(-TOASTS_KEPT)));
    } catch (error) {
      console.info("Toasts may repeat after a reload: storage is off.");
    }
    set("toast", { is_open: true, header: crossing.heading, children: crossing.words });
  }

  function spanOf(cursor) {
    return { first: cursor.first_ms, last: cursor.last_ms, step: shown.step_ms };
  }

  function showScreen(screen) {
    shown = screen;
    shownAt = Date.now();
    write(screen.texts);
    writeStrip(screen.strip);
    writeSignal(screen);
    set("notices", { children: screen.notices });
    set("live-round-trips", { rowData: screen.trips });
    if (screen.symbols.length !== symbolsListed) {
      // Symbols that came in since the page was opened.
      symbolsListed = screen.symbols.length;
      set("control-symbol-a", { options: screen.symbols });
      set("control-symbol-b", { options: screen.symbols });
    }
    set("live-trades-csv", { href: screen.links.trades });
    set("live-equity-csv", { href: screen.links.equity });
    const span = screen.figures ? spanOf(screen.cursor) : null;
    if (span) {
      charts.setEnds(screen.figures.pair, screen.ends, span);
    }
    charts.drawForming("live-pair-chart", screen.forming, span);
    toast(screen.crossing);
  }

  document.addEventListener("visibilitychange", () => {
    if (window.dash_clientside && window.dash_clientside.set_props) {
      set("live-hidden", { data: document.hidden });
    }
  });

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk: {
      theme(clicks) {
        return clicks ? window.pairdeskTheme.toggle() : window.pairdeskTheme.current();
      },

      draw(screen) {
        if (!screen) {
          return [unchanged(), unchanged(), unchanged()];
        }
        const isNew = screen !== shown;
        if (isNew) {
          showScreen(screen);
        }
        const figures = screen.figures || {};
        setTimeout(() => charts.watch("live-pair-chart"), 0);
        return [
          charts.figure(figures.pair, "live-pair-chart"),
          charts.figure(figures.equity, "live-equity-chart"),
          isNew ? screen.cursor : unchanged(),
        ];
      },

      extend(delta, cursor) {
        if (!delta || !shown || !cursor || delta.key !== cursor.key) {
          return [unchanged(), unchanged()];
        }
        if (delta.reload) {
          const due = Date.now() - shownAt > RELOAD_PAUSE_MS || !shown.figures;
          return [unchanged(), due ? Date.now() : unchanged()];
        }
        if (delta.rows && delta.after !== cursor.last_ms) {
          return [unchanged(), unchanged()];
        }
        write(delta.texts);
        writeStrip(delta.strip);
        writeSignal(delta);
        if (delta.notices) {
          set("notices", { children: delta.notices });
        }
        const next = { ...cursor, ...delta.cursor };
        const span = shown.figures ? spanOf(next) : null;
        if (delta.rows) {
          charts.append(shown.figures.pair, delta, span);
          charts.append(shown.figures.equity, delta, span);
          if (delta.trips) {
            set("live-round-trips", { rowTransaction: { ...delta.trips, async: false } });
          }
          charts.redraw("live-equity-chart");
          charts.redraw("live-pair-chart");
        }
        if (delta.forming) {
          charts.drawForming("live-pair-chart", delta.forming, span);
        }
        toast(delta.crossing);
        return [next, unchanged()];
      },

      /** The clock stands while a delta is under way or nobody looks; silence never stops it. */
      pause(busy) {
        clearTimeout(watchdog);
        if (busy) {
          watchdog = setTimeout(() => {
            silent = true;
            const moment = new Date().toISOString().slice(11, 19);
            set("silence", {
              children: `No answer from the desk's server since ${moment} UTC. Trying again.`,
            });
            set("live-busy", { data: false });
          }, PATIENCE_MS);
        } else if (silent) {
          silent = false; // this call is the watchdog's own: the next answer clears the words
        } else {
          set("silence", { children: "" });
        }
        return Boolean(busy) || document.hidden;
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
          set("copy-link", { children: words });
          setTimeout(() => set("copy-link", { children: "Copy link" }), 2000);
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
