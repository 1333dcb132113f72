/* Drawing, for any view: colours of the theme into figures, rows into traces, y to what is in view. It is
   reached as window.pairdesk.charts. */
(function () {
  "use strict";

  const LOOK_MS = 50; // until a chart is there
  const BLANK = {
    data: [],
    layout: {
      autosize: true, paper_bgcolor: "--clear", plot_bgcolor: "--clear",
      xaxis: { visible: false }, yaxis: { visible: false },
    },
  };

  const span = () => window.pairdesk.span;
  const lines = () => window.pairdesk.lines;
  const overlay = () => window.pairdesk.overlay;

  /** The theme's colours by their names, each looked up once: hundreds of parts share a few. */
  function palette() {
    const style = getComputedStyle(document.documentElement);
    const known = new Map();
    return (name) => {
      if (!known.has(name)) {
        known.set(name, style.getPropertyValue(name).trim());
      }
      return known.get(name);
    };
  }

  /** A copy with css variables in place of their names; arrays stay the same ones. */
  function painted(value, colour) {
    if (typeof value === "string") {
      return value.startsWith("--") ? colour(value) : value;
    }
    if (Array.isArray(value)) {
      // Of numbers they stay the same ones; of shapes and notes each is painted.
      const isOfParts = value[0] !== null && typeof value[0] === "object";
      return isOfParts ? value.map((part) => painted(part, colour)) : value;
    }
    if (value === null || typeof value !== "object") {
      return value;
    }
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, painted(part, colour)]));
  }

  function figure(source, id) {
    const colour = palette();
    if (!source) {
      return painted(BLANK, colour);
    }
    const layout = painted(source.layout, colour);
    const frame = document.getElementById(id);
    const width = (frame ? frame.clientWidth : 900) - layout.margin.l - layout.margin.r;
    const axis = span().axis(source, width);
    Object.assign(layout.xaxis, axis);
    if (window.matchMedia("(pointer: coarse)").matches) {
      layout.dragmode = false; // a finger scrolls the page
    }
    // Traces share their arrays with the source, so that new rows reach both.
    const data = source.data.map((trace) => {
      const own = painted(trace, colour);
      return own.meta && own.meta.rows ? lines().kept(own) : own;
    });
    lines().fill(data, axis.range, width);
    return { data, layout };
  }

  function replace(array, values) {
    array.splice(0, array.length, ...values);
  }

  /** What an end is drawn of: a level at both signs, a holding. */
  const EXPANDED = {
    level(level, span) {
      const negative = level === null ? null : -level;
      // A little beyond the newest row, where the open bar is drawn.
      const end = span.last + Math.max(2 * span.step, 0.012 * (span.last - span.first));
      return {
        x: [span.first, end, null, span.first, end],
        y: [level, level, null, negative, negative],
      };
    },
    holding([from, to]) {
      return from === undefined ? { x: [], y: [] } : { x: [from, from, to, to], y: [0, 1, 1, 0] };
    },
  };

  function setEnds(source, ends, span) {
    for (const trace of source.data) {
      const end = trace.meta.end && ends[trace.meta.end];
      if (end !== undefined) {
        for (const [part, values] of Object.entries(EXPANDED[trace.meta.as](end, span))) {
          replace(trace[part], values);
        }
      }
    }
  }

  /** Append a delta's rows to the traces of a figure. */
  function append(source, delta, span) {
    for (const { meta, ...trace } of source.data) {
      if (meta.rows) {
        trace.y.push(...delta.rows[meta.rows]);
        if (meta.customdata) {
          trace.customdata.push(...delta.rows[meta.customdata]);
        }
      } else if (meta.marks && delta.marks[meta.marks]) {
        trace.x.push(...delta.marks[meta.marks].x);
        trace.y.push(...delta.marks[meta.marks].y);
      }
    }
    setEnds(source, delta.ends, span);
  }

  function plotOf(id) {
    const plot = document.querySelector(`#${id} .js-plotly-plot`);
    return plot && plot._fullLayout && plot.data && plot.data.length ? plot : null;
  }

  // Charts that nobody sees, below the fold: they are drawn when they come into view.
  const unseen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) {
        unseen.add(target);
      } else if (unseen.delete(target) && isBehind(target)) {
        drawAnew(target);
      }
    }
  });

  /** Show new rows, and go on with the newest bar where it is followed. They are drawn over the charts
      as long as there is room for them: to draw all anew for each would cost a hundred times as much. */
  function redraw(id) {
    const plot = plotOf(id);
    if (!plot) {
      return;
    }
    observer.observe(plot);
    if (!unseen.has(plot) && (isDue(plot) || !moveLevels(plot))) {
      drawAnew(plot);
    }
    span().describe(plot);
  }

  const linesOf = (plot) => plot.data.filter((trace) => trace.rows);
  const rangeOf = (plot) => span().axis({ data: plot.data, layout: plot._fullLayout }, plot._fullLayout.xaxis._length).range;
  const isBehind = (plot) => linesOf(plot).some(({ rows }) => rows.drawn.count !== rows.y.length);

  function drawAnew(plot, change = changeOf(plot)) {
    for (const [key, value] of Object.entries(change || {})) {
      const [axis, part] = key.split(".");
      plot.layout[axis][part] = value;
    }
    lines().fill(plot.data, rangeOf(plot), plot._fullLayout.xaxis._length);
    window.Plotly.redraw(plot);
  }

  /** Whether what has come since a plot was drawn needs more room. */
  function isDue(plot) {
    const { xaxis, meta } = plot._fullLayout;
    const [from, to] = span().inView(plot);
    const pixels = xaxis._length / (to - from);
    const isFollowed = !span().wholeOf(plot) || span().follows(meta.view);
    return linesOf(plot).some((trace) => {
      const { x0, dx, y, drawn } = trace.rows;
      const newest = x0 + (y.length - 1) * dx;
      if (!drawn.count || y.length < drawn.count || (newest - to) * pixels >= 1) {
        return !drawn.count || isFollowed;
      }
      const [low, high] = overlay().axisOf(plot, trace).range;
      const isInView = x0 + drawn.count * dx <= to;
      return isInView && y.slice(drawn.count).some((value) => value !== null && (value < low || value > high));
    });
  }

  /** Have levels stand where they belong: break-even moves with every bar, and the charts were drawn anew
      for it. False where one comes into view or leaves it: that takes another axis. */
  const moveLevels = (plot) => plot.data.every((trace, index) => trace.meta.as !== "level" || moveLevel(plot, trace, index));

  function moveLevel(plot, trace, index) {
    const { xaxis } = plot._fullLayout;
    const axis = overlay().axisOf(plot, trace);
    const placesOf = (level) => [level, -level].map((value) => (typeof level === "number" ? axis.l2p(value) : NaN));
    const isInView = (place) => place >= 0 && place <= axis._length;
    const before = placesOf(plot.calcdata[index][0].y);
    const now = placesOf(trace.y[0]);
    if (now.some((place, side) => isInView(place) !== isInView(before[side]))) {
      return false;
    }
    const drawn = plot.querySelectorAll(`.trace${plot._fullData[index].uid} .js-line`);
    if (drawn.length !== now.length) { // of one that is out of view plotly draws none
      return !now.some((place, side) => isInView(place) && Math.abs(place - before[side]) >= 1);
    }
    const left = Math.max(0, xaxis.l2p(trace.x[0]));
    const right = Math.min(xaxis._length, xaxis.l2p(trace.x[1]));
    drawn.forEach((line, side) => line.setAttribute("d", `M${left.toFixed(1)},${now[side].toFixed(1)}H${right.toFixed(1)}`));
    return true;
  }

  const waiting = new Map(); // timers of charts that are not there yet

  /** Draw a figure as a whole. Not through dash: it copies the figure, and has every component of the
      page look for changes on the way. */
  function show(id, source, isLinked = false) {
    clearTimeout(waiting.get(id));
    const plot = document.querySelector(`#${id} .js-plotly-plot:not(.dash-graph--pending)`);
    if (!plot) {
      waiting.set(id, setTimeout(() => show(id, source, isLinked), LOOK_MS));
      return;
    }
    if (!plot.pairdeskOwned) {
      plot.pairdeskOwned = true;
      plot.removeAllListeners(); // dash would draw what it knows, nothing, at each zoom
      if (isLinked) {
        watch(plot);
      }
    }
    const { data, layout } = figure(source, id);
    window.Plotly.react(plot, data, layout);
    if (isLinked && source) {
      fit(plot);
    }
  }

  /** After zooming in time, values fill the height again. */
  function watch(plot) {
    for (const event of ["plotly_afterplot", "plotly_relayouting"]) {
      plot.on(event, () => after(plot));
    }
    plot.on("plotly_relayout", (change) => {
      if (Object.keys(change).some((key) => key.startsWith("xaxis"))) {
        span().moved(plot);
      }
      fit(plot);
    });
  }

  /** What stands over a plot moves with it. */
  function after(plot) {
    const captions = [...document.querySelectorAll(".caption[data-axis]")];
    const heights = captions.map((caption) => caption.offsetHeight); // all read before any is moved
    captions.forEach((caption, index) => {
      const axis = plot._fullLayout[caption.dataset.axis];
      if (axis) { // there are none while nothing is drawn
        caption.style.top = `${Math.round(axis._offset - heights[index])}px`;
      }
    });
    window.pairdesk.crosshair.draw();
    window.pairdesk.explain.mark();
    overlay().again();
  }

  const changeOf = (plot) => (span().wholeOf(plot)
    ? span().change(plot, (from, to, isWhole) => heights(plot, from, to, isWhole))
    : null);

  /** Time, and the values of what is in view over the whole height. */
  function fit(plot) {
    const { _length: width } = plot._fullLayout.xaxis;
    const range = rangeOf(plot);
    const change = changeOf(plot);
    if (change || linesOf(plot).some((trace) => !lines().isFilled(trace, range, width))) {
      drawAnew(plot, change);
    }
    span().describe(plot);
  }

  function heights(plot, from, to, isWhole) {
    const layout = plot._fullLayout;
    const change = {};
    for (const axis of Object.keys(layout).filter((key) => /^yaxis\d*$/.test(key))) {
      if (layout[axis].visible === false) {
        continue;
      }
      const more = axis === "yaxis" ? window.pairdesk.candles.reach(plot, [from, to]) : [];
      const range = isWhole && !more.length ? null : valuesWithin(plot, axis.replace("axis", ""), from, to, more);
      const { range: now, autorange } = layout[axis];
      if (!range && autorange === false) {
        change[`${axis}.autorange`] = true;
      } else if (range && (autorange !== false || range.some((value, index) => value !== now[index]))) {
        change[`${axis}.range`] = range;
        change[`${axis}.autorange`] = false;
      }
    }
    return change;
  }

  function valuesWithin(plot, axis, from, to, more) {
    let [low, high] = [Math.min(Infinity, ...more), Math.max(-Infinity, ...more)];
    const take = (value) => {
      if (typeof value === "number") {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    };
    // Far levels would flatten what one has zoomed in to see.
    for (const trace of plot.data) {
      if (trace.rows && (trace.yaxis || "y") === axis) {
        const { x0, dx, y } = trace.rows;
        y.slice(Math.max(0, Math.floor((from - x0) / dx)), Math.max(0, Math.ceil((to - x0) / dx) + 1)).forEach(take);
      }
    }
    const margin = 0.06 * (high - low) || Math.abs(high) * 1e-3;
    return low <= high ? [low - margin, high + margin] : null;
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    charts: { setEnds, append, redraw, show, fit, plotOf },
  });
})();
