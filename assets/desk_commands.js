/* The command box: words in any order make a link of the page, and nothing is done that is not offered
   in words first. app/views/shell/commands.py says what it knows, and binds desk_commands. */
(function () {
  "use strict";

  const IDS = {
    commands: "commands",
    open: "commands-open",
    tradesCsv: "live-trades-csv",
  };
  const PRESETS_KEY = "pairdesk.presets";
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)$/;

  let known = { choices: {}, numbers: {}, views: [] };
  let offers = []; // what can be done: {words, how, run}
  let active = 0;

  const keys = () => window.pairdesk.keys;
  const part = (...given) => window.pairdesk.parts.part(...given);
  const watch = () => window.pairdesk.watch;
  const element = (id) => document.getElementById(id);
  const presets = () => {
    const kept = watch().stored(PRESETS_KEY);
    return Array.isArray(kept) ? kept : [];
  };

  /** The pair on screen, as its query; on other views the one that came along in the address. */
  function query() {
    const shown = element(IDS.tradesCsv) ? window.pairdesk.live.query() : location.search;
    return new URLSearchParams(shown);
  }

  /** Each parameter's names as one may type them: "entry z", "entry". */
  function numberNames() {
    return Object.entries(known.numbers)
      .flatMap(([field, label]) => {
        const name = label.toLowerCase();
        return [...new Set([name, name.replace(/ z$/, ""), field.replaceAll("_", " ")])]
          .map((one) => [one.split(" "), field]);
      })
      .sort(([one], [other]) => other.length - one.length);
  }

  function choiceOf(word) {
    for (const [field, choices] of Object.entries(known.choices)) {
      const key = Object.keys(choices).find((one) => one === word || choices[one].toLowerCase() === word);
      if (key) {
        return [field, key, choices[key]];
      }
    }
    return null;
  }

  /** The symbol that a word means; of several quotes the one of the pair on screen. */
  function symbolOf(word, now) {
    const found = window.pairdesk.picker.matches(word);
    const best = found.filter(([base, quote]) => base.toLowerCase() === word || (base + quote).toLowerCase() === word);
    const same = (best.length ? best : found).filter(([, quote]) => (now.get("symbol_a") || "USDT").endsWith(quote));
    const [chosen] = [...same, ...best, ...found];
    return chosen && chosen.join("");
  }

  /** What the words ask for, and those that say nothing. */
  function read(text, now) {
    const words = text.toLowerCase().split(/[\s,/]+/).filter(Boolean);
    const asked = { legs: [], set: {}, said: [], unknown: [] };
    const names = numberNames();
    for (let place = 0; place < words.length; place += 1) {
      const rest = words.slice(place);
      const named = names.find(([name]) =>
        name.every((one, index) => rest[index] === one) && NUMBER.test(rest[name.length] || ""));
      const choice = choiceOf(rest[0]);
      if (named) {
        const [name, field] = named;
        asked.set[field] = rest[name.length];
        asked.said.push(`${known.numbers[field].toLowerCase()} ${rest[name.length]}`);
        place += name.length;
      } else if (choice) {
        asked.set[choice[0]] = choice[1];
        asked.said.push(choice[2]);
      } else {
        const symbol = NUMBER.test(rest[0]) ? null : symbolOf(rest[0], now);
        if (symbol && asked.legs.length < 2) {
          asked.legs.push(symbol);
        } else {
          asked.unknown.push(rest[0]);
        }
      }
    }
    return asked;
  }

  function pairOffers(asked, now) {
    const [one, other] = asked.legs;
    const a = now.get("symbol_a") || "BTCUSDT";
    const b = now.get("symbol_b") || "ETHUSDT";
    const pairs = !one ? [[a, b]] : other ? [[one, other]] : [[one, b], [a, one]];
    return pairs.filter(([first, second]) => first !== second).flatMap(([first, second]) => {
      const next = new URLSearchParams(now);
      for (const [field, value] of Object.entries({ symbol_a: first, symbol_b: second, ...asked.set })) {
        next.set(field, value);
      }
      const words = [`${first} / ${second}`, ...asked.said].join(", ");
      const places = known.views.filter(([, title]) => title === "Live" || title === "Lab");
      return [
        ...places.map(([path, title], index) => ({
          words: `${words} in ${title}`, how: index ? "lab" : "pair", run: () => go(path, next),
        })),
        { words: `Watch ${words}`, how: "rule", run: () => window.pairdesk.alerts.watchPair(String(next)) },
      ];
    });
  }

  /** Where a path is open already the address changes as by hand, and back is undo. */
  function go(path, next) {
    const target = `${path}?${next}`;
    if (location.pathname === path) {
      history.pushState({}, "", target);
      window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    } else {
      location.assign(target);
    }
  }

  function download(href, name) {
    part("a", { href, download: name }).click();
  }

  function copy(text, what) {
    const say = (heading) => window.pairdesk.toasts.say({ heading, words: text });
    if (navigator.clipboard) {
      navigator.clipboard.writeText(text).then(() => say(`${what} copied`), () => say(`Copy this ${what} by hand`));
    } else {
      say(`Copy this ${what} by hand`); // the page is not a secure context
    }
  }

  function deeds(now) {
    const asked = now.toString();
    const file = (path) => `/analytics/pair${path}?${asked}`;
    return [
      ...known.views.map(([path, title]) => ({
        words: `Go to ${title}`, how: "view", run: () => location.assign(path + (asked ? `?${asked}` : "")),
      })),
      { words: "Copy link", how: "copy", run: () => copy(`${location.origin}${location.pathname}?${asked}`, "link") },
      { words: "Copy as curl", how: "copy", run: () => copy(`curl '${location.origin}${file("")}'`, "call") },
      { words: "Download trades.csv", how: "export", run: () => download(file("/trades.csv"), "") },
      { words: "Download equity.csv", how: "export", run: () => download(file("/equity.csv"), "") },
      { words: "Download the pair as JSON", how: "export", run: () => download(file(""), "pair.json") },
      { words: "Keys", how: "?", run: () => keys().sheet() },
    ];
  }

  function presetOffers(text) {
    const saving = /^save +(.{1,60})$/i.exec(text.trim());
    const dropping = /^forget +(.*)$/i.exec(text.trim());
    if (saving) {
      const [, name] = saving;
      const link = { name, path: location.pathname, query: query().toString() };
      const others = presets().filter((one) => one.name !== name);
      const run = () => watch().store(PRESETS_KEY, [link, ...others]);
      return [{ words: `Save what is on screen as “${name}”`, how: "preset", run }];
    }
    const fits = (wanted) => presets().filter((one) => one.name.toLowerCase().includes(wanted.toLowerCase().trim()));
    if (dropping) {
      return fits(dropping[1]).map(({ name }) => ({
        words: `Forget preset “${name}”`,
        how: "preset",
        run: () => watch().store(PRESETS_KEY, presets().filter((one) => one.name !== name)),
      }));
    }
    return fits(text).map(({ name, path, query: kept }) => ({
      words: `Preset: ${name}`, how: "preset", run: () => go(path, new URLSearchParams(kept)),
    }));
  }

  /** Everything that the text may mean, the likeliest first. */
  function offered(text) {
    const now = query();
    const own = presetOffers(text);
    if (/^(save|forget) /i.test(text)) {
      return { offers: own, unknown: [] };
    }
    const words = text.toLowerCase().trim();
    const fitting = deeds(now).filter((one) => one.words.toLowerCase().includes(words));
    if (!words) {
      return { offers: [...own, ...fitting], unknown: [] };
    }
    const asked = read(text, now);
    const says = asked.legs.length || Object.keys(asked.set).length;
    const pairs = says && !asked.unknown.length ? pairOffers(asked, now) : [];
    const exact = fitting.some((one) => one.words.toLowerCase().split(" ").includes(words));
    const all = exact ? [...own, ...fitting, ...pairs] : [...pairs, ...own, ...fitting];
    return { offers: all, unknown: all.length ? [] : asked.unknown };
  }

  /** What runs it, where a key does, else of what kind it is. */
  function howOf(offer, index) {
    if (index === 0) {
      return "Enter";
    }
    return offer.how === "lab" && offers.find((one) => one.how === "lab") === offer ? "⇧ Enter" : offer.how;
  }

  function fill(input, list, note) {
    const found = offered(input.value);
    offers = found.offers;
    active = 0;
    list.replaceChildren(...offers.map((offer, index) => {
      const option = part("div", { id: `offer-${index}` },
        part("span", { textContent: offer.words }), part("small", { textContent: howOf(offer, index) }));
      option.setAttribute("role", "option");
      return option;
    }));
    note.textContent = found.unknown.length
      ? `“${found.unknown.join("”, “")}” is no symbol, timeframe, hedge, number with a name, view or preset here`
      : "Words in any order: “sol avax 5m kalman”, “entry 2.5”, a view; “save NAME” keeps a preset, “forget NAME” drops it";
    mark(input, list);
  }

  function mark(input, list) {
    [...list.children].forEach((option, index) => {
      option.classList.toggle("on", index === active);
      option.setAttribute("aria-selected", String(index === active));
    });
    if (list.children[active]) {
      list.children[active].scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", list.children[active].id);
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  function take(index) {
    const offer = offers[index];
    if (offer) {
      document.activeElement.blur(); // the next key is for the page again
      element(IDS.commands).close();
      offer.run();
    }
  }

  function open() {
    const input = part("input", { className: "in", type: "text", autocomplete: "off", spellcheck: false });
    const list = part("div", { id: `${IDS.commands}-list` });
    const note = part("p", {});
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "What can be done");
    note.setAttribute("role", "status");
    for (const [name, value] of [
      ["role", "combobox"], ["aria-label", "Search or command"], ["aria-autocomplete", "list"],
      ["aria-expanded", "true"], ["aria-controls", list.id],
    ]) {
      input.setAttribute(name, value);
    }
    input.addEventListener("input", () => fill(input, list, note));
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        active = Math.max(0, Math.min(offers.length - 1, active + step));
        mark(input, list);
      } else if (event.key === "Enter") {
        event.preventDefault();
        const second = offers.findIndex((offer) => offer.how === "lab");
        take(event.shiftKey && second >= 0 ? second : active);
      }
    });
    list.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
      take([...list.children].indexOf(option));
    });
    window.pairdesk.parts.show(element(IDS.commands), input, list, note);
    input.focus();
    fill(input, list, note);
  }

  document.addEventListener("click", ({ target }) => target.closest(`#${IDS.open}`) && open());

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_commands: {
      know(given) {
        known = given;
        return window.dash_clientside.no_update;
      },
    },
  });
})();
