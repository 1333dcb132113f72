/* The page's own tick, on every view: takes what is newer and puts it where it belongs. What a view
   says in text comes as html by the id of its element; app/views/shell/tick.py makes it. */
(function () {
  "use strict";

  const IDS = {
    firing: "firing-count",
    marks: "watch-marks",
    news: "watch-news",
    request: "watch-request",
  };
  const EVERY_MS = 1000;
  const QUICK_MS = 350; // while what has just closed is judged
  const SOON_MS = 200; // until the view around what has fired is made
  const MINUTE_MS = 60000;
  const DUE_MS = 3000;
  const AWAY_MS = 300000;
  const LOOKED_KEY = "pairdesk.looked";
  // What the user opened or typed into stays as it is.
  const OWN = new Set(["open", "value", "checked"]);

  let begun = false;
  let askNow = null;
  let asked = { ...(history.state || {}).asked, ...readHash() }; // as it was before going elsewhere
  let marks = {};
  let texts = {};
  let aheadMs = 0; // of this machine's clock, the server's
  let away = null; // the last look before an absence that was not marked as seen
  let newest = { id: 0, at: 0 };
  let firing = 0;
  let next = null; // the timer of the next beat

  const shell = () => window.pairdesk.shell;
  const now = () => Date.now() + aheadMs;

  function stored(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch (error) {
      return null; // storage is off, or holds what is none of ours
    }
  }

  function store(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch (error) {
      console.info("Not remembered: storage is off.");
    }
  }

  function readHash() {
    const found = /^#(alert|rule|run)-(\d{1,9})$/.exec(location.hash);
    return found ? { [found[1]]: Number(found[2]) } : {};
  }

  function send(isUrgent = true) {
    const since = away ? { id: away.id, ms: away.ms } : null;
    const request = { path: location.pathname, asked, since };
    askNow = askNow || window.pairdesk.asker(`${IDS.news}.data`);
    askNow({ [`${IDS.marks}.data`]: marks }, { [`${IDS.request}.data`]: request }, isUrgent)
      .then((answer) => answer && take(answer));
  }

  /** Ask for something else; null takes a wish back. */
  function ask(changes) {
    asked = { ...asked, ...changes };
    for (const [name, value] of Object.entries(asked)) {
      if (value === null) {
        delete asked[name];
      }
    }
    const open = ["alert", "rule", "run"].find((name) => asked[name]);
    const hash = open ? `#${open}-${asked[open]}` : "";
    history.replaceState({ ...history.state, asked }, "", location.pathname + location.search + hash);
    send();
  }

  /** Make one tree like another and leave alone what is the same: focus and scrolling stay. */
  function morph(into, like) {
    const wanted = [...like.childNodes];
    wanted.forEach((node, place) => {
      const there = into.childNodes[place];
      if (!there) {
        into.append(node);
      } else if (!isLike(there, node)) {
        there.replaceWith(node);
      } else if (node.nodeType !== Node.ELEMENT_NODE) {
        if (there.nodeValue !== node.nodeValue) {
          there.nodeValue = node.nodeValue;
        }
      } else {
        dress(there, node);
        if (!("kept" in there.dataset)) {
          morph(there, node);
        }
      }
    });
    while (into.childNodes.length > wanted.length) {
      into.lastChild.remove();
    }
  }

  function isLike(there, node) {
    return there.nodeName === node.nodeName && (there.dataset || {}).key === (node.dataset || {}).key;
  }

  function dress(there, node) {
    for (const { name } of [...there.attributes]) {
      if (!node.hasAttribute(name) && !OWN.has(name)) {
        there.removeAttribute(name);
      }
    }
    for (const { name, value } of node.attributes) {
      if (there.getAttribute(name) !== value && !OWN.has(name)) {
        there.setAttribute(name, value);
      }
    }
  }

  function put(id, html) {
    const element = document.getElementById(id);
    if (!element) {
      return false;
    }
    const template = document.createElement("template");
    template.innerHTML = html;
    morph(element, template.content);
    return true;
  }

  function writeTexts() {
    for (const [id, words] of Object.entries(texts)) {
      const element = document.getElementById(id);
      if (element && element.textContent !== words) {
        element.textContent = words;
      }
    }
  }

  function span(ms) {
    const seconds = Math.max(0, Math.round(ms / 1000));
    const units = [[86400, "d"], [3600, "h"], [60, "min"]];
    const [size, unit] = units.find(([long]) => seconds >= 2 * long) || [1, "s"];
    return `${Math.floor(seconds / size)} ${unit}`;
  }

  /** Ages and waits go on between two answers. */
  function writeAges() {
    for (const element of document.querySelectorAll("[data-age]")) {
      element.textContent = `${span(now() - Number(element.dataset.age))} ago`;
    }
    for (const element of document.querySelectorAll("[data-due]")) {
      const left = Number(element.dataset.due) - now();
      element.textContent = left > 0 ? `in ${span(left)}` : "now";
    }
  }

  function writeTitle() {
    const open = document.querySelector(`nav a[aria-current]`);
    const bare = document.title.replace(/^\(\d+\) /, "");
    const own = location.pathname === "/" || !open ? bare : `${open.firstChild.textContent} · Pairdesk`;
    const title = firing ? `(${firing}) ${own}` : own;
    if (document.title !== title) {
      document.title = title;
    }
  }

  function writeNews(news) {
    firing = news.count;
    const element = document.getElementById(IDS.firing);
    if (element) {
      element.textContent = firing || "";
      element.title = firing ? `${firing} firing, not seen yet` : "";
    }
    const id = Math.max(0, ...news.newest.map((entry) => entry.id));
    newest = { id, at: Date.now() };
    window.pairdesk.toasts.fired(news.newest, away !== null);
  }

  /** What was told up to now was seen: an absence begins after it. */
  function looked() {
    if (!away && !document.hidden) {
      store(LOOKED_KEY, { id: newest.id, ms: now(), at: Date.now() });
    }
  }

  function returned() {
    const last = stored(LOOKED_KEY);
    if (!away && last && Date.now() - last.at > AWAY_MS) {
      away = last;
      if (begun) {
        setTimeout(send, 0);
      }
    }
  }

  function seenAll() {
    away = null;
    delete marks.away;
    looked();
    send();
  }

  const takers = {
    news: writeNews,
    strip: (strip) => shell().writeStrip(strip),
    notices: (lines) => shell().writeNotices(lines),
    texts: (words) => {
      texts = words;
    },
    away: (told) => {
      if (!told.fired) {
        seenAll();
      } else {
        window.pairdesk.toasts.away(told);
      }
    },
  };

  function take(answer) {
    if (JSON.stringify(answer.asked) !== JSON.stringify(asked)) {
      return; // of before the last click
    }
    aheadMs = answer.now_ms - Date.now();
    const order = Object.entries(answer.changed).sort(([a], [b]) => Number(a in takers) - Number(b in takers));
    for (const [name, content] of order) {
      if (name in takers) {
        takers[name](content);
      } else if (!put(name, content)) {
        delete answer.marks[name];
      }
    }
    marks = { ...marks, ...answer.marks };
    writeTexts();
    writeAges();
    document.dispatchEvent(new CustomEvent("pairdesk:told", { detail: answer.changed.away }));
    if (answer.more) {
      setTimeout(send, SOON_MS);
    }
  }

  /** How long until the next beat: not so long in the first seconds of a minute, when bars have closed. */
  function pauseMs() {
    const past = window.pairdesk.clock.now() % MINUTE_MS;
    return past < DUE_MS ? QUICK_MS : Math.min(EVERY_MS, MINUTE_MS - past);
  }

  /** The clock of an open page: its own tick, and Live's. Not a dcc.Interval, of whose beats each costs
      ten times what comes of it: dash has every component look whether it has changed. That one goes on,
      slowly, while nobody looks. */
  function beat() {
    clearTimeout(next);
    if (document.hidden) {
      return;
    }
    next = setTimeout(beat, pauseMs());
    send(false);
    if (window.pairdesk.live) {
      window.pairdesk.live.beat();
    }
  }

  function onAsk(event) {
    const element = event.target.closest("[data-ask]");
    const isField = element && /^(SELECT|INPUT)$/.test(element.tagName);
    if (!element || (event.type === "click") === isField) {
      return;
    }
    if (event.type === "click" && event.target.closest("a, button, summary, input") !== element
      && event.target.closest("a, button, summary, input")) {
      return; // something in it has a meaning of its own
    }
    const name = element.dataset.ask;
    const value = isField ? element.value.trim() : element.dataset.value;
    const changes = { [name]: /^\d+$/.test(value) ? Number(value) : value || null };
    if (name === "alert" || name === "rule") {
      changes[name === "alert" ? "rule" : "alert"] = null;
    } else if (name !== "before" && name !== "sort") {
      changes.before = null;
    }
    ask(changes);
  }

  /** Views are documents of their own; the pair goes along. */
  function keepQuery(event) {
    const link = event.target.closest && event.target.closest("nav a");
    if (link) {
      link.search = location.search;
    }
  }

  document.addEventListener("click", onAsk);
  document.addEventListener("change", onAsk);
  for (const name of ["pointerover", "focusin", "click"]) {
    document.addEventListener(name, keepQuery, true);
  }
  window.addEventListener("hashchange", () => {
    asked = { ...asked, alert: undefined, rule: undefined, run: undefined, ...readHash() };
    ask({});
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      returned();
    }
    if (begun) {
      beat();
    }
  });
  setInterval(() => {
    writeAges();
    writeTitle();
    if (newest.at) {
      looked();
    }
  }, 1000);

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    watch: { ask, asked: () => asked, seenAll, stored, store, now },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_watch: {
      beat() {
        send(false);
        return shell().unchanged();
      },

      /** Called when the page is there, and whenever it is hidden or shown; without its clock the other goes on. */
      begin() {
        if (!begun) {
          begun = true;
          returned();
          setTimeout(beat, 0);
        }
        return !document.hidden;
      },
    },
  });
})();
