/* Candles in place of the price lines: open, high, low and close of both legs, by /api/bars. Whether they
   are drawn belongs to pair and timeframe, as zoom does. It is reached as window.pairdesk.candles. */
(function () {
  "use strict";

  const IDS = {
    chart: "live-pair-chart",
    charts: "live-charts",
    note: "live-candles-note",
  };
  const PATH = "/api/bars";
  const MOST_BARS = 5000; // of one answer
  const PAUSE_MS = 2000; // between two questions for newer bars
  const SLOT = 10; // least pixels of both legs' candles: where bars have fewer, several are one
  const LEGS = { a: -0.22, b: 0.22 }; // side by side: shares of a slot off its middle
  const BODY = 0.36;
  const [TIME, OPEN, HIGH, LOW, CLOSE, COMPLETE] = [0, 1, 2, 3, 4, 9];

  const on = new Set(); // pairs with their timeframe
  let kept = null; // bars of the pair on screen
  let later = null;

  const span = () => window.pairdesk.span;
  const charts = () => window.pairdesk.charts;
  const viewOf = (plot) => plot._fullLayout.meta.view;
  const isOn = (plot) => on.has(viewOf(plot));

  /** A screen of other rows, or of bars that were rewritten: what is kept may be wrong. */
  function onScreen({ figures, cursor }) {
    const of = figures && [figures.pair.layout.meta.view, cursor.first_ms, cursor.revision_a, cursor.revision_b].join();
    if (!kept || kept.of !== of) {
      kept = { of, bars: { a: new Map(), b: new Map() }, next: cursor.first_ms, isAsking: false, askedAt: -Infinity };
    }
  }

  async function fetched(symbol, timeframe, start, end, into) {
    for (let from = start; ;) {
      const query = new URLSearchParams({ symbol, timeframe, start: from, end, limit: MOST_BARS });
      const answer = await fetch(`${PATH}?${query}`);
      if (!answer.ok) {
        throw new Error(`bars: ${answer.status}`);
      }
      const { rows } = await answer.json();
      for (const row of rows) {
        if (row[COMPLETE]) {
          into.set(row[TIME], row); // of others there is no z, and the lines have a hole
        }
      }
      if (rows.length < MOST_BARS) {
        return;
      }
      from = rows[rows.length - 1][TIME] + 1;
    }
  }

  /** Bars that are not here yet; what can't be had now is asked for with a later drawing. */
  async function ask(plot) {
    const mine = kept;
    const { last, step } = span().wholeOf(plot);
    const now = performance.now();
    if (mine.isAsking || mine.next > last) {
      return;
    }
    if (now - mine.askedAt < PAUSE_MS) {
      clearTimeout(later);
      later = setTimeout(() => window.pairdesk.overlay.again(), PAUSE_MS);
      return;
    }
    Object.assign(mine, { isAsking: true, askedAt: now });
    const [symbolA, symbolB, timeframe] = viewOf(plot).split(" ");
    const end = last + step;
    try {
      await Promise.all([
        fetched(symbolA, timeframe, mine.next, end, mine.bars.a),
        fetched(symbolB, timeframe, mine.next, end, mine.bars.b),
      ]);
      mine.next = end;
    } catch {
      // The lines stay until it answers again.
    }
    mine.isAsking = false;
    if (mine === kept) {
      charts().fit(plot);
      window.pairdesk.overlay.again();
    }
  }

  /** How long a candle takes: a round time of whole bars that is wide enough to be seen. */
  function lengthOf(plot, [from, to]) {
    const { step } = span().wholeOf(plot);
    const least = (SLOT * (to - from)) / plot._fullLayout.xaxis._length;
    return span().STEPS.find((one) => one % step === 0 && one >= least) || step;
  }

  function lengthWords(length) {
    const [size, unit] = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]].find(([one]) => length % one === 0);
    return `${length / size} ${unit}`;
  }

  /** What changes are measured from: the first close on screen. */
  function baseOf(plot, leg) {
    const { y, customdata } = plot.data.find((trace) => trace.meta && trace.meta.rows === leg).rows;
    return customdata[y.findIndex((value) => value !== null)];
  }

  /** Candles of a stretch of time, in per cent: [begin, open, high, low, close] each. */
  function candlesOf(plot, leg, length, [from, to]) {
    const { first, last, step } = span().wholeOf(plot);
    const base = baseOf(plot, leg);
    const percent = (price) => 100 * (price / base - 1);
    const found = [];
    const begin = Math.max(first, first + step * Math.floor((Math.floor(from / length) * length - first) / step));
    for (let time = begin; time <= Math.min(last, to); time += step) {
      const bar = kept.bars[leg].get(time);
      if (!bar) {
        continue;
      }
      const [open, high, low, close] = [OPEN, HIGH, LOW, CLOSE].map((part) => percent(bar[part]));
      const at = Math.floor(time / length) * length;
      const newest = found[found.length - 1];
      if (newest && newest[0] === at) {
        newest[2] = Math.max(newest[2], high);
        newest[3] = Math.min(newest[3], low);
        newest[4] = close;
      } else {
        found.push([at, open, high, low, close]);
      }
    }
    return found;
  }

  const isShown = (plot) => isOn(plot) && kept !== null && kept.bars.a.size > 0;

  /** Lines stand back for candles, with all they are drawn for: the axis keeps to them. */
  function change(plot) {
    const width = isShown(plot) ? 0 : plot.data.find((trace) => trace.meta && trace.meta.rows === "z").line.width;
    const legs = plot.data.flatMap(({ meta, line }, index) => (
      meta && meta.rows in LEGS && line.width !== width ? [index] : []
    ));
    if (legs.length) {
      window.Plotly.restyle(plot, { "line.width": width }, legs);
    }
  }

  /** All candles as svg: hollow where the close is above the open, filled where it is not. */
  function drawn(plot) {
    document.querySelector(`#${IDS.charts} [data-do=candles]`).setAttribute("aria-pressed", String(isOn(plot)));
    setTimeout(() => change(plot), 0); // not within the drawing that asks for this
    if (isOn(plot)) {
      ask(plot);
    }
    if (!isShown(plot)) {
      document.getElementById(IDS.note).textContent = "";
      return "";
    }
    const { xaxis: x, yaxis: y } = plot._fullLayout;
    const inView = span().inView(plot);
    const length = lengthOf(plot, inView);
    const { step } = span().wholeOf(plot);
    const slot = x.l2p(length) - x.l2p(0);
    const half = Math.max(0.5, (BODY * slot) / 2);
    const paths = [];
    for (const [leg, shift] of Object.entries(LEGS)) {
      const looks = { up: [], down: [] };
      for (const [at, ...levels] of candlesOf(plot, leg, length, inView)) {
        // A bar's point stands where it opens; that of several in their middle.
        const middle = x._offset + x.l2p(at + (length - step) / 2) + shift * slot;
        const [open, high, low, close] = levels.map((level) => y._offset + y.l2p(level));
        const [top, bottom] = [Math.min(open, close), Math.max(open, close)];
        const [left, right] = [middle - half, middle + half].map((place) => place.toFixed(1));
        looks[levels[3] > levels[0] ? "up" : "down"].push(
          `M${middle.toFixed(1)} ${high.toFixed(1)}V${top.toFixed(1)}M${middle.toFixed(1)} ${bottom.toFixed(1)}V${low.toFixed(1)}` +
          `M${left} ${top.toFixed(1)}H${right}V${Math.max(bottom, top + 1).toFixed(1)}H${left}Z`,
        );
      }
      for (const [look, pieces] of Object.entries(looks)) {
        paths.push(`<path class="candle ${leg} ${look}" d="${pieces.join("")}"/>`);
      }
    }
    document.getElementById(IDS.note).textContent = ` · candles of ${lengthWords(length)}`;
    return `<clipPath id="candles"><rect x="${x._offset}" y="${y._offset}" width="${x._length}" height="${y._length}"/></clipPath>` +
      `<g clip-path="url(#candles)">${paths.join("")}</g>`;
  }

  /** Lowest and highest of a stretch that is about to be in view; nothing where lines are drawn. */
  function reach(plot, stretch) {
    if (!isShown(plot)) {
      return [];
    }
    const length = lengthOf(plot, stretch);
    return Object.keys(LEGS).flatMap((leg) => candlesOf(plot, leg, length, stretch).flatMap(([, , high, low]) => [low, high]));
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest && target.closest(`#${IDS.charts} [data-do=candles]`);
    const plot = button && charts().plotOf(IDS.chart);
    if (plot) {
      isOn(plot) ? on.delete(viewOf(plot)) : on.add(viewOf(plot));
      charts().fit(plot);
      window.pairdesk.overlay.again();
    }
  });

  window.pairdesk = Object.assign(window.pairdesk || {}, { candles: { drawn, onScreen, reach } });
})();
