/* One truth of the controls: what is set but not on screen yet says so, is asked for again, and goes
   back when it can't be had. app/views/live/parameters.py binds desk_controls. */
(function () {
  "use strict";

  const IDS = {
    asked: "controls-asked",
    back: "controls-back",
    field: (key) => `control-${key}-field`,
    retry: "controls-retry",
    swap: "control-swap",
    value: (key) => `control-${key}`,
    words: "controls-words",
  };
  const TOLD_MS = 1000;
  const RETRY_MS = 3000;
  const MOST_REFUSALS = 5; // answers without what was asked for, until it can't be had

  let names = []; // [field, label, what it means when it is not said]s in the order of the inputs
  let values = {}; // what the controls hold
  let search = ""; // what the address bar holds
  let judged = null; // the server's last word on both
  let settled = null; // what of it is on screen
  let screenKey = null;
  let since = null; // since when something is not on screen
  let retryAt = 0;
  let tries = 0;
  let watching = false;

  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const clock = () => window.pairdesk.clock;
  const element = (id) => document.getElementById(id);
  const dashed = (name) => name.replaceAll("_", "-");

  const isJudged = () => judged !== null && judged.search === search &&
    names.every(([name]) => judged.values[name] === values[name]);
  const refused = () => (isJudged() ? judged.refused : []);
  const waiting = () => !isJudged() || (judged.query !== null && judged.query !== screenKey);

  /** Fields whose value is not on screen; of what was refused the control itself says why. */
  function unsettled() {
    return settled === null ? [] : names.filter(([name]) => values[name] !== settled[name]);
  }

  function follow() {
    if (isJudged() && judged.query === screenKey) {
      settled = { ...judged.values };
    }
    const open = unsettled();
    const refusals = refused();
    const pending = waiting() ? open.filter(([name]) => !refusals.includes(name)) : [];
    for (const [name] of names) {
      const field = element(IDS.field(dashed(name)));
      if (field) {
        field.toggleAttribute("data-asked", pending.some(([other]) => other === name));
        for (const input of field.querySelectorAll("input[type=radio]")) {
          const shown = open.length > 0 && settled !== null && settled[name] === input.value;
          input.parentElement.toggleAttribute("data-shown", shown);
        }
      }
    }
    // Of which pair the numbers are is in doubt while a leg or the timeframe is another one.
    const doubtful = open.some(([name]) => /^symbol|^timeframe$/.test(name));
    document.documentElement.toggleAttribute("data-doubt", doubtful);
    if (!waiting()) {
      since = null;
      tries = 0;
    } else if (since === null) {
      since = clock().own();
      retryAt = since + RETRY_MS;
    }
    say(pending, open, refusals);
  }

  function say(pending, open, refusals) {
    const line = element(IDS.asked);
    if (!line) {
      return;
    }
    const own = clock().own();
    const legs = settled ? `${settled.symbol_a} / ${settled.symbol_b} ${settled.timeframe}` : "";
    let words = "";
    if (since !== null && own - since >= TOLD_MS) {
      const wanted = pending.map(([name, label]) => `${label} ${values[name] || "default"}`).join(", ");
      const again = Math.max(0, Math.ceil((retryAt - own) / 1000));
      const asked = wanted ? `${wanted} asked for, not on screen yet.` : "The screen has been asked for.";
      words = `${asked} No answer for ${clock().span(own - since)}; again in ${again} s.`;
    } else if (refusals.length && document.documentElement.hasAttribute("data-doubt")) {
      words = `The numbers are still those of ${legs}.`;
    }
    line.hidden = !words;
    element(IDS.back).hidden = !open.length;
    if (element(IDS.words).textContent !== words) {
      element(IDS.words).textContent = words;
    }
  }

  function tick({ own, late }) {
    follow();
    if (since !== null && own >= retryAt) {
      // A server that answers others and never this can't give it; one that is away may come back.
      tries = late ? 0 : tries + 1;
      if (tries > MOST_REFUSALS && unsettled().length) {
        back();
        return;
      }
      retryAt = own + RETRY_MS;
      set(IDS.retry, { data: { at: own, link: judged === null || judged.search !== search } });
    }
  }

  /** Ask for the screen that the server will make of these values, if it takes them: it is on its way
      while dash goes round. */
  function expect(asked) {
    const said = names.filter(([name, , implied]) => implied === null || (asked[name] && asked[name] !== implied));
    if (settled !== null && said.every(([name]) => asked[name])) {
      window.pairdesk.live.expect(new URLSearchParams(said.map(([name]) => [name, asked[name].trim()])).toString());
    }
  }

  document.addEventListener("click", ({ target }) => {
    if (target.closest(`#${IDS.swap}`)) {
      expect({ ...values, symbol_a: values.symbol_b, symbol_b: values.symbol_a });
    }
  });

  function back() {
    const open = unsettled();
    tries = 0;
    for (const [name] of open) {
      set(IDS.value(dashed(name)), { value: settled[name] });
    }
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    controls: {
      onScreen(key) {
        screenKey = key;
        follow();
      },
    },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_controls: {
      /** Whatever a control or the address bar says anew, and what the server says of it. */
      follow(newSearch, answer, ...rest) {
        const given = rest.slice(0, -1);
        [names] = rest.slice(-1);
        const before = values;
        values = Object.fromEntries(names.map(([name], index) => [name, given[index]]));
        search = newSearch || "";
        judged = answer || null;
        if (!isJudged() && names.some(([name]) => values[name] !== before[name])) {
          expect(values);
        }
        if (!watching) {
          watching = true;
          clock().every(tick);
        }
        follow();
        return window.dash_clientside.no_update;
      },

      back(clicks) {
        if (clicks) {
          back();
        }
        return window.dash_clientside.no_update;
      },
    },
  });
})();
