/* What is written from the page: alerts seen, rules made, changed and removed. All of it goes to the
   API, whose guard judges who may, and whose words are shown where it refuses. */
(function () {
  "use strict";

  const IDS = {
    away: "alerts-away",
    dialog: "alerts-dialog",
    right: "alerts-right",
    watchPair: "watch-pair",
    strip: "live-watch-strip",
  };
  let edited = null; // the rule that the form changes; null for a new one
  let told = null; // what fired while nobody looked

  const toasts = () => window.pairdesk.toasts;
  const watch = () => window.pairdesk.watch;
  const field = (name) => document.querySelector(`[data-field="${name}"]`);
  const part = (name) => document.querySelector(`[data-${name}]`);
  const fields = () => [...document.querySelectorAll("[data-field]")];

  /** Ask the API to write; what it answers, or an error with its problem. */
  async function write(method, path, body) {
    const answer = await fetch(path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: method === "DELETE" ? undefined : JSON.stringify(body || {}),
    });
    const content = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) {
      throw Object.assign(new Error(content.detail || content.title), { errors: content.errors || [] });
    }
    return content;
  }

  function refused(error) {
    const more = (error.errors || []).map((one) => `${one.field}: ${one.message}`).join("; ");
    toasts().say({ heading: "Not done", words: more || error.message, look: "bad" });
  }

  const rulePath = (id) => `/api/rules/${id}`;

  async function watchPair(query) {
    const given = Object.fromEntries(new URLSearchParams(query));
    delete given.since;
    const rule = await write("POST", "/api/rules", { ...given, kind: "zscore" });
    toasts().say({
      heading: `Watching ${rule.symbol_a} / ${rule.symbol_b} ${rule.timeframe}`,
      words: `Rule ${rule.id}, with what is on screen. Change how it is told, or undo it, here.`,
      href: `/alerts#rule-${rule.id}`,
    });
  }

  function showKind() {
    const kind = field("kind").value;
    if (!edited) {
      field("timeframe").value = kind === "radar" ? "1h" : "1m"; // minutes are seldom scanned
    }
    for (const element of document.querySelectorAll("[data-kinds]")) {
      element.hidden = !element.dataset.kinds.split(" ").includes(kind);
    }
  }

  /** A refusal with the form's own names in place of the API's, and the page's minus. */
  function inWords(message) {
    return message.replace(/(?<!\S)-(?=\S)/g, "−").replace(/[a-z]+(?:_[a-z]+)+/g, (name) => {
      const label = document.querySelector(`[data-name="${name}"] label`);
      return label ? label.textContent[0].toLowerCase() + label.textContent.slice(1) : name;
    });
  }

  function say(words, errors) {
    part("refusal").textContent = words;
    for (const element of document.querySelectorAll("[data-error]")) {
      const error = errors.find((one) => one.field === element.dataset.error);
      element.textContent = error ? inWords(error.message) : "";
      if (error && element.closest("details")) {
        element.closest("details").open = true;
      }
    }
  }

  function fill(rule) {
    edited = rule;
    for (const element of fields()) {
      const value = rule ? rule[element.dataset.field] : undefined;
      if (element.type === "checkbox") {
        element.checked = Boolean(value);
      } else if (element.tagName === "SELECT") {
        const first = element.options[0].value;
        element.value = value === undefined || value === null ? first : value;
      } else {
        element.value = Array.isArray(value) ? value.join(", ") : value === undefined || value === null ? "" : value;
      }
    }
    field("kind").disabled = Boolean(rule);
    part("title").textContent = rule ? `Rule ${rule.id}` : "New rule";
    say("", []);
    showKind();
    document.getElementById(IDS.dialog).showModal();
  }

  function read() {
    const body = { kind: field("kind").value };
    for (const element of fields()) {
      const { field: name, type } = element.dataset;
      if (name === "kind" || element.closest("[data-kinds]").hidden) {
        continue;
      }
      if (type === "flag") {
        body[name] = element.checked;
      } else if (type === "names") {
        body[name] = element.value.split(/[\s,]+/).filter(Boolean);
      } else if (element.value.trim()) {
        const number = Number(element.value);
        body[name] = element.tagName === "INPUT" && Number.isFinite(number) ? number : element.value.trim();
      } else if (edited && edited[name] !== null && edited[name] !== undefined) {
        body[name] = name === "note" ? "" : null;
      }
    }
    return body;
  }

  async function save() {
    try {
      await (edited ? write("PATCH", rulePath(edited.id), read()) : write("POST", "/api/rules", read()));
      document.getElementById(IDS.dialog).close();
    } catch (error) {
      say(error.errors && error.errors.length ? "" : error.message, error.errors || []);
    }
  }

  async function edit(id) {
    const { rules: [rule] } = await (await fetch(`/api/rules?rule_id=${id}`)).json();
    if (rule) {
      fill(rule);
    }
  }

  async function remove(id) {
    if (window.confirm(`Delete rule ${id}? What it found stays in the history.`)) {
      await write("DELETE", rulePath(id));
      watch().ask({ rule: null });
    }
  }

  async function test(path, name, words) {
    await write("POST", `/api/${path}/test`);
    toasts().say({ heading: `Testing ${name}`, words: `The analyst ${words}; its answer stands beside it.` });
  }

  /** All that the desk says of itself, for whoever is asked for help. */
  async function copyReport() {
    const words = JSON.stringify(await (await fetch("/api/status")).json(), null, 2);
    await navigator.clipboard.writeText(words);
    toasts().say({ heading: "Copied", words: "The whole of /api/status, without any secret." });
  }

  const deeds = {
    acknowledge: async ({ id }) => {
      for (const one of id.split(" ")) {
        await write("POST", `/api/alerts/${one}/acknowledge`, { by: "the desk" });
      }
    },
    mute: ({ id, value }) =>
      write("PATCH", rulePath(id), { mute_until: new Date(watch().now() + Number(value)).toISOString() }),
    pause: ({ id }) => write("PATCH", rulePath(id), { enabled: false }),
    resume: ({ id }) => write("PATCH", rulePath(id), { enabled: true }),
    delete: ({ id }) => remove(id),
    edit: ({ id }) => edit(id),
    new: () => fill(null),
    save,
    cancel: () => document.getElementById(IDS.dialog).close(),
    test: ({ id }) => test(`channels/${encodeURIComponent(id)}`, id, "sends a message"),
    ping: () => test("heartbeat", "heartbeat", "asks your dead man's switch"),
    notify: () => toasts().notify(),
    sound: () => toasts().sound(),
    report: () => copyReport(),
    seen: () => {
      told = null;
      showAway();
      watch().seenAll();
    },
  };

  function showAway() {
    const place = document.getElementById(IDS.away);
    if (!place) {
      return;
    }
    place.replaceChildren();
    if (told) {
      const heading = Object.assign(document.createElement("strong"), { textContent: told.heading });
      const words = Object.assign(document.createElement("p"), { textContent: told.words });
      const seen = Object.assign(document.createElement("button"), {
        textContent: "Mark as seen", className: "btn-small", type: "button",
      });
      seen.dataset.do = "seen";
      place.append(heading, words, seen);
    }
  }

  function markShown() {
    const strip = document.getElementById(IDS.strip);
    if (!strip) {
      return;
    }
    const asked = new URLSearchParams(location.search);
    const legs = ["symbol_a", "symbol_b", "timeframe"].map((name) => asked.get(name)).join("/");
    for (const card of strip.querySelectorAll("[data-legs]")) {
      card.classList.toggle("on", card.dataset.legs === legs);
    }
  }

  /** Whoever may not write is told so, and how to get the right, before he tries. */
  async function showRight() {
    const place = document.getElementById(IDS.right);
    if (!place || place.dataset.asked) {
      return;
    }
    place.dataset.asked = "yes";
    const me = await (await fetch("/api/me")).json();
    if (!me.may_write) {
      const words = Object.assign(document.createElement("p"), {
        textContent: `Reading only. ${me.why_not} You see everything meanwhile.`,
      });
      place.className = "right-line";
      place.append(words);
      if (me.sign_in) {
        const next = encodeURIComponent(location.pathname + location.search);
        place.append(Object.assign(document.createElement("a"), { href: `${me.sign_in}?next=${next}`, textContent: "Sign in" }));
      }
    }
  }

  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-do]");
    const deed = element && deeds[element.dataset.do];
    if (deed) {
      Promise.resolve(deed(element.dataset)).catch(refused);
      const menu = element.closest("details.mute");
      if (menu) {
        menu.open = false;
      }
    } else if (event.target.closest(`#${IDS.watchPair}`)) {
      watchPair(window.pairdesk.live.query()).catch(refused);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.dataset && event.target.dataset.field === "kind") {
      showKind();
    }
  });
  window.pairdesk = Object.assign(window.pairdesk || {}, {
    alerts: { watchPair: (query) => watchPair(query).catch(refused), write, refused },
  });
  // Scripts are loaded in no order: the others are there by the first answer.
  document.addEventListener("pairdesk:told", (event) => {
    told = event.detail || told;
    showAway();
    markShown();
    toasts().label();
    showRight().catch(refused);
  });
})();
