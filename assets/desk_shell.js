/* What stands around every view: texts, strip, notices, toasts. app/views/shell/callbacks.py binds
   desk_shell; a view's own script reaches the rest as window.pairdesk.shell, when it runs and not when
   it is loaded: no script needs another one before it. */
(function () {
  "use strict";

  const IDS = {
    badge: "live-badge",
    hidden: "page-hidden",
    notices: "notices",
    text: (key) => `live-${key}`,
    toast: "toast",
  };
  const TOASTS_KEPT = 50;
  const TOAST_KEY = "pairdesk.toasts";
  const texts = new Map();

  const unchanged = () => window.dash_clientside.no_update;
  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const textOf = (key) => texts.get(key);

  function write(changed) {
    for (const [key, words] of Object.entries(changed || {})) {
      if (texts.get(key) !== words) {
        texts.set(key, words);
        set(IDS.text(key), { children: words, title: words });
      }
    }
  }

  function writeStrip(strip) {
    if (strip) {
      write(strip.texts);
      window.pairdesk.clock.sync(strip);
      document.documentElement.dataset.feed = strip.feed;
      set(IDS.badge, {
        children: strip.badge.label,
        title: strip.badge.words,
        className: `badge-desk ${strip.badge.look}`,
      });
    }
  }

  function writeNotices(lines) {
    if (lines) {
      set(IDS.notices, { children: lines });
    }
  }

  function announced() {
    try {
      return JSON.parse(localStorage.getItem(TOAST_KEY)) || [];
    } catch (error) {
      return [];
    }
  }

  /** Once per entry, also across reloads. */
  function toast(entry) {
    if (!entry) {
      return;
    }
    const seen = announced();
    if (seen.includes(entry.id)) {
      return;
    }
    try {
      localStorage.setItem(TOAST_KEY, JSON.stringify([...seen, entry.id].slice(-TOASTS_KEPT)));
    } catch (error) {
      console.info("Toasts may repeat after a reload: storage is off.");
    }
    set(IDS.toast, { is_open: true, header: entry.heading, children: entry.words });
  }

  document.addEventListener("visibilitychange", () => {
    if (window.dash_clientside && window.dash_clientside.set_props) {
      set(IDS.hidden, { data: document.hidden });
    }
  });

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    shell: { unchanged, set, textOf, write, writeStrip, writeNotices, toast },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_shell: {
      theme(clicks) {
        return clicks ? window.pairdesk.theme.toggle() : window.pairdesk.theme.current();
      },
    },
  });
})();
