/* The picker of a symbol: a text field that filters as one types. Only what is highlighted in sight is
   ever taken; to leave the field takes nothing. app/views/controls.py writes the element whose value
   it is, app/views/shell/callbacks.py binds desk_picker; others open one as window.pairdesk.picker. */
(function () {
  "use strict";

  const RECENT_KEY = "pairdesk.recent";
  const MOST_RECENT = 5;
  const PAGE = 8;
  const OPTION = "[role=option]";

  let symbols = []; // [base, quote]s in the order of their names
  let pickers = [];

  const watch = () => window.pairdesk.watch;
  const nameOf = ([base, quote]) => base + quote;
  const part = (...given) => window.pairdesk.parts.part(...given);

  const recent = () => {
    const kept = watch().stored(RECENT_KEY);
    return Array.isArray(kept) ? kept : [];
  };

  function remember(symbol) {
    watch().store(RECENT_KEY, [symbol, ...recent().filter((one) => one !== symbol)].slice(0, MOST_RECENT));
  }

  /** How well a symbol fits what was typed, the coin before the money: the lower the better. */
  function rank([base, quote], typed) {
    const name = base + quote;
    const fits = [base === typed, base.startsWith(typed), name.startsWith(typed), base.includes(typed)];
    const place = fits.indexOf(true);
    return place < 0 ? Infinity : place;
  }

  function matches(text) {
    const typed = text.toUpperCase().replace(/[\s/]/g, "");
    return symbols
      .map((symbol, index) => [rank(symbol, typed), index])
      .filter(([place]) => place < Infinity)
      .sort((one, other) => one[0] - other[0] || one[1] - other[1])
      .map(([, index]) => symbols[index]);
  }

  class Picker {
    constructor(element) {
      this.element = element;
      this.typed = false;
      this.active = null; // the highlighted option
      const id = element.id;
      this.input = part("input", {
        id: `${id}-input`, className: "in", type: "text", role: "combobox", autocomplete: "off", spellcheck: false,
      });
      this.head = part("p", { role: "status" });
      this.list = part("div", { id: `${id}-list`, role: "listbox" });
      this.list.setAttribute("aria-label", "Symbols");
      const keys = part("p", {}, "↑ ↓ choose · Enter take · Esc leave as it is");
      keys.setAttribute("aria-hidden", "true");
      this.popup = part("div", { className: "picker-popup", hidden: true }, this.head, this.list, keys);
      for (const [name, value] of [
        ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", this.list.id],
        ["aria-describedby", `${id}-error`],
      ]) {
        this.input.setAttribute(name, value);
      }
      element.replaceChildren(this.input, this.popup);
      this.show();
      new MutationObserver(() => this.popup.hidden && this.show())
        .observe(element, { attributes: true, attributeFilter: ["value"] });
      this.input.addEventListener("focus", () => this.input.select());
      this.input.addEventListener("click", () => this.popup.hidden && this.open());
      this.input.addEventListener("input", () => this.type());
      this.input.addEventListener("keydown", (event) => this.press(event));
      this.input.addEventListener("blur", () => this.close());
      // The field keeps the focus while the list is used.
      this.popup.addEventListener("mousedown", (event) => event.preventDefault());
      this.list.addEventListener("click", ({ target }) => this.take(target.closest(OPTION)));
    }

    value() {
      return this.element.getAttribute("value") || "";
    }

    show() {
      this.input.value = this.value();
      this.input.title = this.value();
    }

    open() {
      this.typed = false;
      this.popup.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
      this.input.select();
      this.fill();
    }

    close() {
      this.popup.hidden = true;
      this.input.setAttribute("aria-expanded", "false");
      this.highlight(null);
      this.show();
    }

    type() {
      if (this.popup.hidden) {
        this.popup.hidden = false;
        this.input.setAttribute("aria-expanded", "true");
      }
      this.typed = true;
      this.fill();
    }

    /** List what fits; before anything is typed all, what was taken of late first. */
    fill() {
      const text = this.typed ? this.input.value.trim() : "";
      const found = matches(text);
      const known = new Map(symbols.map((symbol) => [nameOf(symbol), symbol]));
      const latest = text ? [] : recent().filter((name) => known.has(name) && name !== this.value());
      const all = this.group(text ? "" : "All", found);
      const groups = latest.length
        ? [this.group("Recent", latest.map((name) => known.get(name))), all] : [all];
      this.list.replaceChildren(...groups);
      const none = symbols.length ? `No symbol here has “${text}” in its name` : "No symbol is stored yet";
      this.head.textContent = found.length ? `${found.length} of ${symbols.length}` : none;
      const own = [...all.children].find((option) => option.dataset.symbol === this.value());
      this.highlight((text ? all.querySelector(OPTION) : own) || null);
    }

    group(name, found) {
      const head = part("small", { role: "presentation", textContent: name, hidden: !name });
      const options = found.map(([base, quote]) => {
        const symbol = base + quote;
        const option = part(
          "div", { role: "option", id: `${this.list.id}-${name || "found"}-${symbol}` },
          part("b", { textContent: base }), ` ${quote}`,
        );
        option.dataset.symbol = symbol;
        option.setAttribute("aria-selected", String(symbol === this.value()));
        return option;
      });
      const made = part("div", { role: "group" }, head, ...options);
      made.setAttribute("aria-label", name || "Found");
      return made;
    }

    highlight(option) {
      if (this.active) {
        this.active.classList.remove("on");
      }
      this.active = option;
      if (option) {
        option.classList.add("on");
        option.scrollIntoView({ block: "nearest" });
        this.input.setAttribute("aria-activedescendant", option.id);
      } else {
        this.input.removeAttribute("aria-activedescendant");
      }
    }

    move(step) {
      const options = [...this.list.querySelectorAll(OPTION)];
      if (options.length) {
        const place = options.indexOf(this.active);
        const next = place < 0 ? (step > 0 ? 0 : options.length - 1) : place + step;
        this.highlight(options[Math.max(0, Math.min(options.length - 1, next))]);
      }
    }

    press(event) {
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE };
      if (event.key in steps) {
        event.preventDefault();
        if (this.popup.hidden) {
          this.open();
        } else {
          this.move(steps[event.key]);
        }
      } else if (event.key === "Enter" && !this.popup.hidden) {
        event.preventDefault();
        this.take(this.active);
      } else if (event.key === "Escape" && !this.popup.hidden) {
        event.stopPropagation();
        this.close();
        this.input.select();
      }
    }

    take(option) {
      if (!option) {
        return;
      }
      const { symbol } = option.dataset;
      if (symbol !== this.value()) {
        remember(symbol);
        window.dash_clientside.set_props(this.element.id, { value: symbol });
      }
      this.close();
      this.input.value = symbol;
      this.input.select();
    }
  }

  /** Put the keyboard into a picker with its list open. */
  function open(id) {
    const picker = pickers.find((one) => one.element.id === id);
    if (picker) {
      picker.input.focus();
      picker.open();
    }
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, { picker: { open, matches } });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_picker: {
      /** Called when the page is there, and when other symbols can be chosen. */
      know(listed) {
        symbols = listed || [];
        pickers = pickers.filter((one) => one.element.isConnected);
        for (const element of document.querySelectorAll(".picker")) {
          if (!pickers.some((one) => one.element === element)) {
            pickers.push(new Picker(element));
          }
        }
        return window.dash_clientside.no_update;
      },
    },
  });
})();
