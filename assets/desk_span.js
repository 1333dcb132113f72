/* Which stretch of time the charts show: it belongs to pair and timeframe and outlives every figure.
   Range buttons, wheel, two fingers, and whether the newest bar is followed; times below the charts in
   UTC or in the reader's own zone. It is reached as window.pairdesk.span. */
(function () {
  "use strict";

  const IDS = {
    charts: "live-charts",
    chart: "live-pair-chart",
    words: "live-span-words",
  };
  const SECOND = 1000;
  const MINUTE = 60 * SECOND;
  const HOUR = 60 * MINUTE;
  const DAY = 24 * HOUR;
  const STEPS = [
    ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
    ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
    ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
    ...[1, 2, 7, 14, 28, 91, 364].map((count) => count * DAY),
  ];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const FEWEST_BARS = 20; // no zoom goes further in
  const TICK_WIDTH = 96;
  const ROOM = 0.012; // right of the newest bar, for the open one
  const ZONE_KEY = "pairdesk-zone";

  const views = new Map(); // what is in view: [from, to]; `to` null follows the newest bar
  let isLocal = stored() === "local";

  function stored() {
    try {
      return localStorage.getItem(ZONE_KEY);
    } catch {
      return null; // a browser may keep nothing
    }
  }

  const offsetAt = (moment) => (isLocal ? -new Date(moment).getTimezoneOffset() * MINUTE : 0);
  const two = (value) => String(value).padStart(2, "0");

  /** The parts of a moment as the reader's clock shows them. */
  function parts(moment) {
    const iso = new Date(moment + offsetAt(moment)).toISOString();
    return { day: `${iso.slice(8, 10)} ${MONTHS[iso.slice(5, 7) - 1]}`, year: iso.slice(0, 4), minute: iso.slice(11, 16), second: iso.slice(11, 19) };
  }

  function zoneName() {
    const minutes = -new Date().getTimezoneOffset();
    const rest = minutes % 60 ? `:${two(Math.abs(minutes) % 60)}` : "";
    return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(Math.abs(minutes) / 60)}${rest}`;
  }

  function momentWords(moment, step) {
    const { day, minute, second } = parts(moment);
    return `${day} ${step < MINUTE ? second : minute}`;
  }

  /** Times below the charts: round ones of the reader's clock, the day where it begins. */
  function ticks(from, to, width) {
    const most = Math.max(2, Math.floor(width / TICK_WIDTH));
    const step = STEPS.find((one) => (to - from) / one <= most) || STEPS[STEPS.length - 1];
    const values = [];
    const words = [];
    let last = null;
    for (let mark = Math.ceil((from + offsetAt(from)) / step) * step; ; mark += step) {
      const moment = mark - offsetAt(mark - offsetAt(from));
      if (moment > to) {
        return { tickmode: "array", tickvals: values, ticktext: words };
      }
      const now = parts(moment);
      const [first, second] = step < DAY
        ? [step < MINUTE ? now.second : now.minute, now.day]
        : [now.day, now.year];
      values.push(moment);
      words.push(second === last ? first : `${first}<br>${second}`);
      last = second;
    }
  }

  function wholeOf({ data }) {
    const trace = data.find(({ meta }) => meta && meta.rows === "z");
    if (!trace) {
      return null;
    }
    const { x0: first, dx: step, y } = window.pairdesk.lines.rowsOf(trace);
    return { first, step, last: first + step * (y.length - 1), count: y.length };
  }

  // Plotly rounds what a box is dragged to.
  const isOther = (range, other) => range.some((moment, index) => Math.abs(moment - other[index]) > 1);

  const endOf = (whole, width) => whole.last + Math.max(2 * whole.step, ROOM * width);

  /** What is in view of a figure; null is all of it. */
  function rangeOf(view, whole) {
    const kept = views.get(view);
    if (!kept) {
      return null;
    }
    const [from, to] = kept;
    if (to !== null) {
      return [from, to];
    }
    const end = endOf(whole, from);
    return [end - from, end]; // followed: `from` is how much is in view
  }

  function follows(view) {
    const kept = views.get(view);
    return !kept || kept[1] === null;
  }

  /** Keep what is in view; with the newest bar in it, it goes on with the newest bar. */
  function keep(view, whole, from, to) {
    const width = to - from;
    if (from <= whole.first && to >= whole.last) {
      views.delete(view);
    } else {
      views.set(view, to >= whole.last ? [width, null] : [from, to]);
    }
  }

  /** The time axis of a figure that is about to be drawn. */
  function axis(source, width) {
    const whole = wholeOf(source);
    if (!whole) {
      return {};
    }
    const range = rangeOf(source.layout.meta.view, whole);
    const [from, to] = range || [whole.first, endOf(whole, whole.last - whole.first)];
    return { ...ticks(from, to, width), range: [from, to], autorange: false };
  }

  /** The axis and heights of what is in view, as one change; null where nothing does. */
  function change(plot, heights) {
    const layout = plot._fullLayout;
    const whole = wholeOf(plot);
    const wanted = axis({ data: plot.data, layout }, layout.xaxis._length);
    const now = layout.xaxis.range.map((moment) => layout.xaxis.d2l(moment));
    const changed = heights(...wanted.range, !views.has(layout.meta.view));
    if (isOther(wanted.range, now)) {
      changed["xaxis.range"] = wanted.range;
    }
    if (wanted.ticktext.join() !== (layout.xaxis.ticktext || []).join()) {
      for (const part of ["tickmode", "tickvals", "ticktext"]) {
        changed[`xaxis.${part}`] = wanted[part];
      }
    }
    return Object.keys(changed).length ? changed : null;
  }

  /** A change that the reader made on the plot itself, by a box or a double click. */
  function moved(plot) {
    const { xaxis, meta } = plot._fullLayout;
    const whole = wholeOf(plot);
    if (!whole) {
      return;
    }
    const now = inView(plot);
    const kept = rangeOf(meta.view, whole);
    if (xaxis.autorange !== false) {
      views.delete(meta.view);
    } else if (!kept || isOther(kept, now)) {
      keep(meta.view, whole, ...now);
    }
  }

  // ------------------------------------------------------------------ what the reader does

  const head = () => document.getElementById(IDS.charts);
  const plotNow = () => window.pairdesk.charts.plotOf(IDS.chart);

  /** Say above the charts what is in view, and which buttons hold. */
  function describe(plot) {
    const place = head();
    const whole = wholeOf(plot);
    if (!place || !whole) {
      return;
    }
    const { view } = plot._fullLayout.meta;
    const [from, to] = rangeOf(view, whole) || [whole.first, whole.last];
    const begin = Math.max(from, whole.first);
    const end = Math.min(to, whole.last);
    const count = Math.max(0, Math.floor((end - begin) / whole.step) + 1);
    const words = `${momentWords(begin, whole.step)} – ${momentWords(end, whole.step)}, ` +
      `${count.toLocaleString("en-US")} of ${whole.count.toLocaleString("en-US")} bars`;
    const said = document.getElementById(IDS.words);
    if (said.textContent !== words) {
      said.textContent = words;
    }
    const kept = views.get(view);
    for (const choice of place.querySelectorAll("[data-range]")) {
      const width = choice.dataset.range === "all" ? null : Number(choice.dataset.range);
      choice.hidden = width !== null && !(width >= FEWEST_BARS * whole.step && width < whole.last - whole.first);
      choice.setAttribute("aria-pressed", String(width === null ? !kept : Boolean(kept) && kept[1] === null && kept[0] === width));
    }
    const button = (name) => place.querySelector(`[data-do=${name}]`);
    button("follow").setAttribute("aria-pressed", String(follows(view)));
    const zone = button("zone");
    zone.textContent = isLocal ? zoneName() : "UTC";
    zone.setAttribute("aria-pressed", String(isLocal));
  }

  function show(plot, from, to) {
    const whole = wholeOf(plot);
    const { meta } = plot._fullLayout;
    const width = Math.max(to - from, FEWEST_BARS * whole.step);
    const middle = (from + to) / 2;
    const end = endOf(whole, width);
    // No further than half a view beyond either end.
    const shift = Math.max(whole.first - width / 2 - (middle - width / 2), Math.min(0, end - (middle + width / 2)));
    keep(meta.view, whole, middle - width / 2 + shift, middle + width / 2 + shift);
    window.pairdesk.charts.fit(plot);
  }

  function inView(plot) {
    const { xaxis } = plot._fullLayout;
    return xaxis.range.map((moment) => xaxis.d2l(moment));
  }

  let wanted = null; // the newest of several changes within a frame

  function soon(plot, from, to) {
    const isFirst = wanted === null;
    wanted = [from, to];
    if (isFirst) {
      requestAnimationFrame(() => {
        const [begin, end] = wanted;
        wanted = null;
        show(plot, begin, end);
      });
    }
  }

  /** Zoom around a place of the plot, `factor` times as much time in view. */
  function zoom(plot, factor, place) {
    const [from, to] = wanted || inView(plot);
    const whole = wholeOf(plot);
    const most = endOf(whole, whole.last - whole.first) - whole.first;
    const width = Math.min(most, Math.max(FEWEST_BARS * whole.step, (to - from) * factor));
    const at = from + place * (to - from);
    soon(plot, at - place * width, at + (1 - place) * width);
  }

  function pan(plot, share) {
    const [from, to] = wanted || inView(plot);
    soon(plot, from + share * (to - from), to + share * (to - from));
  }

  function placeOf(plot, clientX) {
    const { _offset: left, _length: width } = plot._fullLayout.xaxis;
    return (clientX - plot.getBoundingClientRect().left - left) / width;
  }

  const fingers = new Map();

  function bind() {
    document.addEventListener("click", ({ target }) => {
      const button = target.closest && target.closest(`#${IDS.charts} button`);
      const plot = button && plotNow();
      if (!plot) {
        return;
      }
      const { view } = plot._fullLayout.meta;
      if (button.dataset.range) {
        const isAll = button.dataset.range === "all";
        isAll ? views.delete(view) : views.set(view, [Number(button.dataset.range), null]);
      } else if (button.dataset.do === "follow") {
        const [from, to] = inView(plot);
        views.set(view, follows(view) ? [from, to] : [to - from, null]);
      } else if (button.dataset.do === "zone") {
        isLocal = !isLocal;
        try {
          localStorage.setItem(ZONE_KEY, isLocal ? "local" : "UTC");
        } catch {
          // Then it holds until the page is left.
        }
      } else {
        return;
      }
      window.pairdesk.charts.fit(plot);
    });
    document.addEventListener("wheel", (event) => {
      const plot = event.target.closest && event.target.closest(`#${IDS.chart}`) && plotNow();
      if (!plot || (isOneColumn() && !event.ctrlKey)) {
        return;
      }
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
        pan(plot, (event.deltaX || event.deltaY) / plot._fullLayout.xaxis._length);
      } else {
        zoom(plot, Math.exp(Math.max(-1, Math.min(1, event.deltaY * (event.ctrlKey ? 0.01 : 0.002)))), placeOf(plot, event.clientX));
      }
    }, { passive: false });
    document.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" && event.target.closest(`#${IDS.chart}`)) {
        fingers.set(event.pointerId, event.clientX);
      }
    });
    document.addEventListener("pointermove", (event) => {
      const before = [...fingers.values()];
      if (!fingers.has(event.pointerId) || !plotNow()) {
        return;
      }
      fingers.set(event.pointerId, event.clientX);
      if (before.length === 2) {
        const after = [...fingers.values()];
        const [apart, now] = [before, after].map(([one, other]) => Math.max(8, Math.abs(one - other)));
        zoom(plotNow(), apart / now, placeOf(plotNow(), (after[0] + after[1]) / 2));
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      document.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
  }

  /** Charts as wide as the page: the wheel is needed to get past them. */
  const isOneColumn = () => !document.fullscreenElement && window.matchMedia("(max-width: 980px)").matches;

  bind();
  window.pairdesk = Object.assign(window.pairdesk || {}, {
    span: { STEPS, axis, change, describe, follows, inView, momentWords, moved, show, wholeOf },
  });
})();
