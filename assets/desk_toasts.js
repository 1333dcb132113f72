/* What fired, once in each tab and never again after a reload: a queue that shows one at a time.
   Tabs of a browser close together; its notifications and sounds come once, after a click. */
(function () {
  "use strict";

  const IDS = {
    toasts: "toasts",
  };
  const SHOWN_MS = 6000;
  const NEWS_MS = 600000; // what is older is history, told by the Alerts view
  const SEEN_KEY = "pairdesk.seen";
  const ENTRIES_KEY = "pairdesk.toasts";
  const NOTIFY_KEY = "pairdesk.notify";
  const SOUND_KEY = "pairdesk.sound";
  const KEPT = 50;

  const waiting = [];
  const here = new Set(); // entries that this tab has told of
  let shown = null;
  let leftMs = SHOWN_MS;
  let seen = null; // the last episode that this tab has told of
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("pairdesk.toasts") : null;

  const watch = () => window.pairdesk.watch;
  const part = (...given) => window.pairdesk.parts.part(...given);

  function draw() {
    const region = document.getElementById(IDS.toasts);
    if (!region) {
      return;
    }
    region.replaceChildren();
    if (!shown) {
      return;
    }
    const close = window.pairdesk.parts.closing(() => drop(shown.id));
    const words = shown.href ? part("a", { href: shown.href, textContent: shown.words }) : shown.words;
    const card = part(
      "div",
      { className: `toast-desk ${shown.look || ""}` },
      part("span", { className: "mark", textContent: shown.mark || "" }),
      part("div", {}, part("strong", { textContent: shown.heading }), part("p", {}, words)),
      close,
    );
    card.id = "toast";
    region.append(card);
    if (waiting.length) {
      const names = [...new Set(waiting.map((entry) => entry.name))].slice(0, 3).join(", ");
      const more = part("a", { href: "/alerts", textContent: "Show all" });
      region.append(part("p", { className: "others" }, `${waiting.length} more wait: ${names} `, more));
    }
  }

  function next() {
    shown = waiting.shift() || null;
    leftMs = SHOWN_MS;
    draw();
  }

  function push(entry) {
    waiting.push(entry);
    if (shown) {
      draw();
    } else {
      next();
    }
  }

  function forget(id) {
    const place = waiting.findIndex((entry) => entry.id === id);
    if (place >= 0) {
      waiting.splice(place, 1);
      draw();
    } else if (shown && shown.id === id) {
      next();
    }
  }

  function drop(id) {
    forget(id);
    if (channel) {
      channel.postMessage(id);
    }
  }

  /** Once in a browser, by whichever tab asks first. */
  function claim(key, id) {
    const last = watch().stored(key) || {};
    if ((last.id || 0) >= id) {
      return false;
    }
    watch().store(key, { ...last, id });
    return true;
  }

  function call(entry) {
    if (isOn(NOTIFY_KEY) && document.hidden && claim(NOTIFY_KEY, entry.id)) {
      const note = new Notification(entry.heading, { body: entry.words, tag: `pairdesk-${entry.id}` });
      note.onclick = () => {
        window.focus();
        location.href = entry.href;
      };
    }
    if (isOn(SOUND_KEY) && claim(SOUND_KEY, entry.id)) {
      sound();
    }
  }

  function isOn(key) {
    const allowed = key !== NOTIFY_KEY || ("Notification" in window && Notification.permission === "granted");
    return allowed && Boolean((watch().stored(key) || {}).on);
  }

  function sound() {
    const context = new AudioContext();
    const tone = context.createOscillator();
    const volume = context.createGain();
    volume.gain.setValueAtTime(0.15, context.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.4);
    tone.frequency.value = 660;
    tone.connect(volume).connect(context.destination);
    tone.onended = () => context.close();
    tone.start();
    tone.stop(context.currentTime + 0.4);
  }

  async function toggle(key) {
    const on = !isOn(key);
    if (on && key === NOTIFY_KEY) {
      if (!("Notification" in window) || (await Notification.requestPermission()) !== "granted") {
        say({ heading: "Not allowed", words: "This browser lets the desk show no notifications." });
        return;
      }
    }
    watch().store(key, { ...(watch().stored(key) || {}), on });
    if (on && key === SOUND_KEY) {
      sound();
    }
    label();
  }

  /** Switches say what holds. */
  function label() {
    for (const [name, key] of [["notify", NOTIFY_KEY], ["sound", SOUND_KEY]]) {
      for (const button of document.querySelectorAll(`[data-do="${name}"]`)) {
        button.setAttribute("aria-pressed", String(isOn(key)));
      }
    }
  }

  /** Words of the page itself, such as why something was refused. */
  function say(entry) {
    push({ id: `say-${Date.now()}-${Math.random()}`, name: entry.heading, ...entry });
  }

  function isTold(id) {
    return (watch().stored(ENTRIES_KEY) || []).includes(id);
  }

  function tell(id) {
    here.add(id);
    watch().store(ENTRIES_KEY, [...(watch().stored(ENTRIES_KEY) || []), id].slice(-KEPT));
  }

  /** The entry of the pair on screen, which no rule watches: once, also across reloads. */
  function entered(entry) {
    if (entry && !isTold(entry.id)) {
      tell(entry.id);
      if (window.pairdesk.clock.now() - entry.ms < NEWS_MS) {
        push({ ...entry, name: entry.heading });
      }
    }
  }

  /** Episodes, newest first; after an absence they are summed up instead. */
  function fired(newest, wasAway) {
    const last = Math.max(0, ...newest.map((entry) => entry.id));
    if (seen === null) {
      const kept = watch().stored(SEEN_KEY);
      seen = Number.isInteger(kept) && !wasAway ? kept : last;
    }
    for (const entry of newest.filter((one) => one.id > seen).reverse()) {
      if (!entry.quiet && !here.has(entry.entry) && watch().now() - entry.ms < NEWS_MS) {
        push(entry);
        call(entry);
      }
      if (entry.entry) {
        tell(entry.entry);
      }
    }
    seen = Math.max(seen, last);
    watch().store(SEEN_KEY, Math.max(watch().stored(SEEN_KEY) || 0, seen));
    for (const entry of newest.filter((one) => one.quiet)) {
      forget(entry.id); // seen or over meanwhile
    }
  }

  /** What fired while nobody looked; the Alerts view has a line of its own for it. */
  function away(told) {
    if (location.pathname !== "/alerts") {
      forget("away");
      push({ id: "away", name: "while you were away", look: "away", mark: "☾", href: "/alerts", ...told });
    }
  }

  if (channel) {
    channel.onmessage = (event) => forget(event.data);
  }
  setInterval(() => {
    const card = document.getElementById(IDS.toasts);
    if (!shown || document.hidden || (card && card.matches(":hover, :focus-within"))) {
      return;
    }
    leftMs -= 250;
    if (leftMs <= 0) {
      next();
    }
  }, 250);

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    toasts: { entered, fired, away, say, label, notify: () => toggle(NOTIFY_KEY), sound: () => toggle(SOUND_KEY) },
  });
})();
