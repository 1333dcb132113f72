/* What stands around every view: texts, strip, notices. app/views/shell/callbacks.py binds
   desk_shell; a view's own script reaches the rest as window.pairdesk.shell, when it runs and not when
   it is loaded: no script needs another one before it. */
(function () {
  "use strict";

  const IDS = {
    badge: "live-badge",
    hidden: "page-hidden",
    notices: "notices",
    text: (key) => `live-${key}`,
  };
  const texts = new Map();
  let noticed = null; // what stands there, to be told once

  const unchanged = () => window.dash_clientside.no_update;
  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const textOf = (key) => texts.get(key);

  /** Texts are the scripts' own: told through dash, each would have every component look for changes. */
  function write(changed) {
    for (const [key, words] of Object.entries(changed || {})) {
      const part = document.getElementById(IDS.text(key));
      if (part && texts.get(key) !== words) {
        Object.assign(part, { textContent: words, title: words });
      }
      texts.set(key, words);
    }
  }

  function writeStrip(strip) {
    if (strip) {
      write(strip.texts);
      window.pairdesk.clock.sync(strip);
      document.documentElement.dataset.feed = strip.feed;
      Object.assign(document.getElementById(IDS.badge), {
        textContent: strip.badge.label,
        title: strip.badge.words,
        className: `badge-desk ${strip.badge.look}`,
      });
    }
  }

  function writeNotices(lines) {
    const words = lines && JSON.stringify(lines);
    if (lines && words !== noticed) {
      noticed = words;
      set(IDS.notices, { children: lines });
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (window.dash_clientside && window.dash_clientside.set_props) {
      set(IDS.hidden, { data: document.hidden });
    }
  });

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    shell: { unchanged, set, textOf, write, writeStrip, writeNotices },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_shell: {
      theme() {
        return window.pairdesk.theme.current();
      },
    },
  });
})();
