/* One z taken apart: a click on the z chart asks the API for every number behind it. And the way from a
   round trip to its place on the charts. It is reached as window.pairdesk.explain. */
(function () {
  "use strict";

  const IDS = {
    chart: "live-pair-chart",
    newest: "live-explain-newest",
    panel: "live-explain",
    picked: "live-picked",
  };
  const PATH = "/analytics/pair/explain";
  const STILL = 5; // a pointer that moves further drags
  const DOUBLE_MS = 300; // as plotly has it
  const FEWEST_ROWS = 20; // on either side of a round trip
  const LEFT_BY = {
    revert: "z came back to the exit",
    stop: "|z| reached the stop",
    time: "it was held as long as is allowed",
    "no data": "there was no z for too long",
    halted: "a leg had stopped trading",
    break: "prices jumped as after a split: left at the last close before",
  };
  const COLUMNS = ["time", "close_a", "close_b", "intercept", "hedge_ratio", "spread", "spread_mean", "spread_std", "zscore"];

  let picked = null; // open time of the bar that is taken apart
  let asked = 0; // the newest question: answers of others are left aside
  let pressed = null;

  const element = (id) => document.getElementById(id);
  const part = (...given) => window.pairdesk.parts.part(...given);
  const buttons = () => [...element(IDS.panel).querySelectorAll("button")];
  const span = () => window.pairdesk.span;
  const plotNow = () => window.pairdesk.charts.plotOf(IDS.chart);
  const moment = (ms, step) => span().momentWords(ms, step);

  /** Digits that matter, and never an exponent. */
  function digits(value, form = { maximumSignificantDigits: 6, useGrouping: false }) {
    return typeof value === "number" ? new Intl.NumberFormat("en-US", form).format(value).replace("-", "−") : "–";
  }

  // ------------------------------------------------------------------ what is shown

  /** The row for a spreadsheet: numbers with all their digits, and z once more as a formula of them. */
  function sheetRow(told) {
    const [a, b] = ["close_a", "close_b"].map((name) => told.rows[name][told.rows[name].length - 1]);
    const numbers = { ...told, close_a: a, close_b: b };
    const [alpha, beta, mean, std] = ["intercept", "hedge_ratio", "spread_mean", "spread_std"]
      .map((name) => `(${numbers[name]})`);
    const formula = `=(LN(${a})-${alpha}-${beta}*LN(${b})-${mean})/${std}`;
    const values = COLUMNS.map((name) => (numbers[name] === null ? "" : numbers[name]));
    const isWhole = !values.includes("");
    return [[...COLUMNS, "by formula"], [...values, isWhole ? formula : ""]].map((row) => row.join("\t")).join("\n");
  }

  function rowsOf({ start, end, rows }, step) {
    return rows ? `${rows.toLocaleString("en-US")} rows, ${moment(Date.parse(start), step)} – ${moment(Date.parse(end), step)}` : "no rows";
  }

  /** What the rule decided at this bar, and why: the words behind a mark. */
  function decisions(ms, step, zscore) {
    const said = [];
    const next = (moments) => moments.filter(([time]) => time > ms).sort(([one], [other]) => one - other)[0];
    const trips = window.pairdesk.table.rows();
    const entry = next(trips.map((trip) => [trip.time, trip]));
    const exit = next(trips.filter((trip) => trip.until).map((trip) => [trip.until, trip]));
    // A mark stands at the z that decided.
    const isOf = (z) => z !== null && zscore !== null && Math.abs(z - zscore) < 0.0051;
    if (exit && isOf(exit[1].exit_z)) {
      said.push(`○ left here: ${LEFT_BY[exit[1].why]}; filled ${moment(exit[0], step)}, net ${exit[1].pnl_text}`);
    }
    if (entry && isOf(entry[1].z)) {
      said.push(`${entry[1].side} entered here: |z| reached the entry; filled ${moment(entry[0], step)}`);
    }
    return said;
  }

  function line(words, value, note = "") {
    return part("div", {},
      part("dt", {}, words, ...(note ? [" ", part("small", { textContent: note })] : [])), part("dd", { textContent: value }));
  }

  function content(told, step) {
    const last = (name) => told.rows[name][told.rows[name].length - 1];
    const ms = Date.parse(told.time);
    const lines = [
      line("s = ln A − α − β ln B", digits(told.spread), `of ${digits(last("close_a"))} and ${digits(last("close_b"))}`),
      line("β", digits(told.hedge_ratio), rowsOf(told.fit, step)),
      line("α", digits(told.intercept)),
      line("mean of s", digits(told.spread_mean), rowsOf(told.z_window, step)),
      line("σ of the same", digits(told.spread_std)),
      line("z = (s − mean) / σ", digits(told.zscore, { minimumFractionDigits: 4, maximumFractionDigits: 4 })),
      line("break-even z", digits(told.break_even_z, { maximumFractionDigits: 2, minimumFractionDigits: 2 }),
        `four fills cost ${digits(told.round_trip_cost, { maximumFractionDigits: 2 })}`),
    ];
    const notes = [
      ...decisions(ms, step, told.zscore).map((words) => part("p", { className: "decided", textContent: words })),
      ...told.warnings.slice(0, 2).map((words) => part("p", { textContent: words })),
    ];
    return [part("dl", {}, ...lines), ...notes];
  }

  function tools(told, step) {
    const button = (words, label, deed) => {
      const made = part("button", { type: "button", textContent: words, onclick: deed });
      made.setAttribute("aria-label", label);
      return made;
    };
    return part("span", { className: "tools" },
      ...(told ? [button("copy row", "Copy a row for a spreadsheet", (event) => copy(event.target, sheetRow(told)))] : []),
      button("‹", "The bar before", () => open(picked - step)),
      button("›", "The bar after", () => open(picked + step)),
      button("✕", "Close", close));
  }

  function copy(button, words) {
    const showIt = () => {
      // Not a secure context, or not allowed to: the reader takes it from here.
      const field = part("textarea", { className: "in", readOnly: true, value: words });
      field.setAttribute("aria-label", "A row for a spreadsheet");
      element(IDS.panel).append(field);
      field.select();
    };
    if (!navigator.clipboard) {
      showIt();
      return;
    }
    navigator.clipboard.writeText(words).then(() => {
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy row"; }, 2000);
    }, showIt);
  }

  function show(step, told, body) {
    const panel = element(IDS.panel);
    const held = panel.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    const heading = part("h2", {}, `z of ${moment(picked, step)}`, tools(told, step));
    panel.replaceChildren(heading, ...body);
    panel.hidden = false;
    if (held) {
      (buttons().find((one) => one.getAttribute("aria-label") === held) || buttons()[0]).focus();
    }
    mark();
  }

  // ------------------------------------------------------------------ opening and closing

  async function open(ms) {
    const plot = plotNow();
    const whole = plot && span().wholeOf(plot);
    if (!whole) {
      return;
    }
    picked = Math.min(whole.last, Math.max(whole.first, ms));
    const { step } = whole;
    const number = ++asked;
    if (element(IDS.panel).hidden) {
      show(step, null, [part("p", { textContent: "Asking for its numbers …" })]);
    } else {
      mark();
    }
    let told = null;
    let words = "No answer from the desk's server.";
    try {
      const answer = await fetch(`${PATH}?${window.pairdesk.live.query()}&time=${picked}`);
      const body = await answer.json();
      told = answer.ok ? body : null;
      words = body.detail || body.title;
    } catch (error) {
      console.info(`${PATH}: ${error.message}`);
    }
    if (number === asked) {
      show(step, told, told ? content(told, step) : [part("p", { textContent: words })]);
    }
  }

  function close() {
    asked++;
    picked = null;
    const panel = element(IDS.panel);
    if (panel && !panel.hidden) {
      const hadFocus = panel.contains(document.activeElement);
      panel.hidden = true;
      mark();
      if (hadFocus) {
        element(IDS.newest).focus();
      }
    }
  }

  let view = null;

  /** Other parameters of the same pair explain the same bar anew; another pair closes the panel. */
  function onScreen(screen) {
    const before = view;
    view = screen.figures && screen.figures.pair.layout.meta.view;
    if (picked !== null) {
      if (view && view === before) {
        setTimeout(() => picked !== null && open(picked), 0); // when the charts are drawn
      } else {
        close();
      }
    }
  }

  /** A line through the charts at the bar that is taken apart. */
  function mark() {
    const layer = element(IDS.picked);
    const plot = plotNow();
    if (!layer) {
      return;
    }
    if (picked === null || !plot) {
      layer.replaceChildren();
      return;
    }
    const { xaxis, yaxis, yaxis4 } = plot._fullLayout;
    const x = xaxis._offset + xaxis.l2p(picked);
    const isInside = x >= xaxis._offset && x <= xaxis._offset + xaxis._length;
    layer.innerHTML = isInside
      ? `<svg><line x1="${x}" x2="${x}" y1="${yaxis._offset}" y2="${yaxis4._offset + yaxis4._length}"/></svg>`
      : "";
  }

  /** The open time of the bar under a pointer; null beside the z chart. */
  function barUnder(plot, { clientX, clientY }) {
    const { yaxis3 } = plot._fullLayout;
    const y = clientY - plot.getBoundingClientRect().top - yaxis3._offset;
    const row = y >= 0 && y <= yaxis3._length ? window.pairdesk.crosshair.rowAt(plot, clientX) : null;
    const whole = span().wholeOf(plot);
    return row === null ? null : whole.first + row * whole.step;
  }

  // ------------------------------------------------------------------ from a round trip to the charts

  /** Show a round trip with as much before and after it; false where the charts don't reach back to it. */
  function goTo(trip) {
    const plot = plotNow();
    const whole = plot && span().wholeOf(plot);
    if (!whole || trip.time < whole.first) {
      return false;
    }
    const until = trip.until || whole.last + whole.step;
    const room = Math.max(until - trip.time, FEWEST_ROWS * whole.step);
    span().show(plot, trip.time - room, until + room);
    plot.scrollIntoView({ block: "nearest" });
    return true;
  }

  let lastClick = -Infinity;

  document.addEventListener("pointerdown", (event) => {
    const isInChart = event.target instanceof Element && event.target.closest(`#${IDS.chart}`);
    pressed = isInChart && event.isPrimary && event.button === 0 ? event : null;
  }, true);
  document.addEventListener("pointerup", (event) => {
    const plot = pressed && plotNow();
    const isStill = plot && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) < STILL;
    pressed = null;
    const ms = isStill ? barUnder(plot, event) : null;
    if (ms !== null && event.timeStamp - lastClick < DOUBLE_MS) {
      close(); // a double click asks for the whole range
    } else if (ms !== null) {
      open(ms);
    }
    lastClick = ms === null ? lastClick : event.timeStamp; // one elsewhere is no half of a double click
  }, true);
  document.addEventListener("pointercancel", () => { pressed = null; });
  document.addEventListener("click", ({ target }) => {
    if (target instanceof Element && target.closest(`#${IDS.newest}`) && plotNow()) {
      open(Infinity);
      buttons()[0].focus();
    }
  });
  document.addEventListener("keydown", ({ key, target }) => {
    const panel = element(IDS.panel);
    if (panel && !panel.hidden && (key === "Escape" || panel.contains(target))) {
      const steps = { ArrowLeft: "The bar before", ArrowRight: "The bar after" };
      if (key === "Escape") {
        close();
      } else if (steps[key]) {
        buttons().find((one) => one.getAttribute("aria-label") === steps[key]).click();
      }
    }
  });

  window.pairdesk = Object.assign(window.pairdesk || {}, { explain: { onScreen, goTo, mark, LEFT_BY } });
})();
