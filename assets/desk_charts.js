/* Drawing, for any view: colours of the theme into figures, rows into traces, y to what is in view,
   labels beside it. It is reached as window.pairdesk.charts. */
(function () {
  "use strict";

  const MARGINS = 134; // left and right of the plots: app/views/live/figures.py
  const LABEL_HEIGHT = 12;
  let overlay = null; // draws labels and the open bar again
  let saidNow = {}; // values of labels, in words
  const BLANK = {
    data: [],
    layout: {
      height: 1, paper_bgcolor: "--clear", plot_bgcolor: "--clear",
      xaxis: { visible: false }, yaxis: { visible: false },
    },
  };

  const span = () => window.pairdesk.span;

  /** A copy with css variables in place of their names; arrays stay the same ones. */
  function painted(value, style) {
    if (typeof value === "string") {
      return value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
    }
    if (Array.isArray(value)) {
      // Of numbers they stay the same ones; of shapes and notes each is painted.
      const isOfParts = value[0] !== null && typeof value[0] === "object";
      return isOfParts ? value.map((part) => painted(part, style)) : value;
    }
    if (value === null || typeof value !== "object") {
      return value;
    }
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, painted(part, style)]));
  }

  function figure(source, id) {
    const style = getComputedStyle(document.documentElement);
    if (!source) {
      return painted(BLANK, style);
    }
    const layout = painted(source.layout, style);
    const frame = document.getElementById(id);
    Object.assign(layout.xaxis, span().axis(source, (frame ? frame.clientWidth : 900) - MARGINS));
    if (window.matchMedia("(pointer: coarse)").matches) {
      layout.dragmode = false; // a finger scrolls the page
    }
    // Traces share their arrays with the source, so that new rows reach both.
    return { data: source.data.map((trace) => painted(trace, style)), layout };
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

  /** Draw labels, and dotted the bar that is still open, over the charts, at next to no cost. */
  function drawOver(id, layerId, content, ends) {
    const plot = plotOf(id);
    const layer = document.getElementById(layerId);
    if (!layer) {
      return;
    }
    overlay = () => drawOver(id, layerId, content, ends);
    if (!plot || !ends) {
      layer.replaceChildren();
      return;
    }
    saidNow = content.ends ? content.ends.said : {};
    const parts = Object.entries(content.forming || {})
      .map(([name, value]) => segment(plot, name, value, ends));
    layer.innerHTML = `<svg>${window.pairdesk.holes.drawn(plot, content.ends)}${window.pairdesk.candles.drawn(plot)}${tails(plot)}${parts.join("")}${labelled(plot, content, ends)}</svg>`;
  }

  const escaped = (words) => words.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  /** Labels stand right of their values, moved apart where they would cover each other. */
  function labelled(plot, { labels, ends }, span) {
    const layout = plot._fullLayout;
    const { _offset: left, _length: width } = layout.xaxis;
    const parts = [];
    const axes = new Map();
    for (const [name, what, before, look, isEnd] of ends ? labels : []) {
      const axis = layout[name.replace("y", "yaxis")];
      for (const [value, sign] of placesOf(plot, what, ends)) {
        const y = axis._offset + axis.l2p(value);
        if (typeof value === "number" && y > axis._offset - 1 && y < axis._offset + axis._length + 1) {
          const words = `${before}${sign}${ends.said[what]}`;
          axes.set(axis, [...(axes.get(axis) || []), { y, words, look, isEnd }]);
        }
      }
    }
    const newest = left + layout.xaxis.l2p(span.last);
    for (const [axis, column] of axes) {
      spread(column, axis._offset, axis._offset + axis._length);
      for (const { y, at, words, look, isEnd } of column) {
        const weight = isEnd ? "strong" : "";
        parts.push(`<text class="${look} ${weight}" x="${left + width + 10}" y="${at.toFixed(1)}">${escaped(words)}</text>`);
        if (isEnd && newest >= left && newest <= left + width + 1) {
          parts.push(`<circle class="${look} now" cx="${newest.toFixed(1)}" cy="${y.toFixed(1)}" r="2.5"/>`);
        }
      }
    }
    return parts.join("");
  }

  /** Where a label stands: a level at both signs, anything else at its newest value. */
  function placesOf(plot, what, ends) {
    if (what in ends) {
      return ends[what] === null ? [] : [[ends[what], ""], [-ends[what], "−"]];
    }
    const trace = plot.data.find((one) => one.meta && one.meta.rows === what);
    return trace ? [[trace.y[trace.y.length - 1], ""]] : [];
  }

  /** Move labels apart, each as little as may be, within the height of their chart. */
  function spread(column, top, bottom) {
    column.sort((one, other) => one.y - other.y);
    const step = Math.min(LABEL_HEIGHT, (bottom - top) / Math.max(1, column.length - 1));
    let groups = column.map((label) => ({ labels: [label], middle: label.y }));
    for (let moved = true; moved; ) {
      moved = false;
      for (const group of groups) {
        const half = (step * (group.labels.length - 1)) / 2;
        group.middle = Math.min(Math.max(group.middle, top + half), bottom - half);
      }
      for (let index = 1; index < groups.length && !moved; index++) {
        const [above, below] = [groups[index - 1], groups[index]];
        const apart = (step * (above.labels.length + below.labels.length)) / 2;
        if (below.middle - above.middle < apart - 0.01) {
          const labels = [...above.labels, ...below.labels];
          const middle = labels.reduce((sum, label) => sum + label.y, 0) / labels.length;
          groups = [...groups.slice(0, index - 1), { labels, middle }, ...groups.slice(index + 1)];
          moved = true;
        }
      }
    }
    for (const { labels, middle } of groups) {
      labels.forEach((label, index) => {
        label.at = middle + step * (index - (labels.length - 1) / 2);
      });
    }
  }

  function segment(plot, name, value, span) {
    const closed = plot.data.find((trace) => trace.meta && trace.meta.rows === name);
    const last = closed && closed.y[closed.y.length - 1];
    if (typeof value !== "number" || typeof last !== "number") {
      return "";
    }
    const x = plot._fullLayout.xaxis;
    const y = plot._fullLayout[(closed.yaxis || "y").replace("y", "yaxis")];
    const [left, right] = [span.last, span.last + span.step].map((time) => x._offset + x.l2p(time));
    const [from, to] = [last, value].map((level) => y._offset + y.l2p(level));
    const inside = left >= x._offset && right <= x._offset + x._length + 1 &&
      Math.min(from, to) >= y._offset - 4 && Math.max(from, to) <= y._offset + y._length + 4;
    if (!inside) {
      return "";
    }
    // A bar of a long history is under a pixel wide: the dots keep to the eye's measure.
    const end = Math.max(right, left + 6);
    const look = name.length === 1 && name !== "z" ? name : "t";
    return `<path class="${look} forming" d="M${left.toFixed(1)} ${from.toFixed(1)}L${end.toFixed(1)} ${to.toFixed(1)}"/>` +
      `<circle class="${look} forming" cx="${end.toFixed(1)}" cy="${to.toFixed(1)}" r="2.5"/>`;
  }

  function plotOf(id) {
    const plot = document.querySelector(`#${id} .js-plotly-plot`);
    return plot && plot._fullLayout && plot.data && plot.data.length ? plot : null;
  }

  /** Show new rows, and go on with the newest bar where it is followed. Rows that would not move the
      charts by a pixel wait for more of them: until then they are drawn over the charts. */
  function redraw(id, isMarked) {
    const plot = plotOf(id);
    if (plot && (isMarked || isDue(plot))) {
      drawAnew(plot);
    }
  }

  function drawAnew(plot) {
    for (const [key, value] of Object.entries(changeOf(plot) || {})) {
      const [axis, part] = key.split(".");
      plot.layout[axis][part] = value;
    }
    window.Plotly.redraw(plot);
  }

  const linesOf = (plot) => plot.data
    .map((trace, index) => ({ trace, drawn: plot.calcdata && plot.calcdata[index] ? plot.calcdata[index].length : 0 }))
    .filter(({ trace }) => trace.meta && trace.meta.rows);
  const axisOf = (plot, trace) => plot._fullLayout[(trace.yaxis || "y").replace("y", "yaxis")];
  const isBehind = (plot) => linesOf(plot).some(({ trace, drawn }) => drawn !== trace.y.length);

  /** Whether rows that are not drawn yet are in view, and need more room than they have there. */
  function isDue(plot) {
    const { xaxis } = plot._fullLayout;
    const [from, to] = xaxis.range.map((moment) => xaxis.d2l(moment));
    return linesOf(plot).some(({ trace, drawn }) => {
      const rows = trace.y.length - drawn;
      if (!drawn || rows < 0) {
        return true;
      }
      if (trace.x0 + drawn * trace.dx > to) {
        return false;
      }
      const [low, high] = axisOf(plot, trace).range;
      const isOutside = trace.y.slice(drawn).some((value) => value !== null && (value < low || value > high));
      return isOutside || (rows * trace.dx * xaxis._length) / (to - from) >= 1;
    });
  }

  /** Rows that wait to be drawn, as lines over the charts. */
  function tails(plot) {
    const { xaxis } = plot._fullLayout;
    const end = xaxis.d2l(xaxis.range[1]);
    return linesOf(plot).map(({ trace, drawn }) => {
      const axis = axisOf(plot, trace);
      const places = [];
      for (let row = Math.max(0, drawn - 1); row < trace.y.length && trace.x0 + row * trace.dx <= end; row++) {
        if (typeof trace.y[row] === "number") {
          places.push(`${(xaxis._offset + xaxis.l2p(trace.x0 + row * trace.dx)).toFixed(1)} ${(axis._offset + axis.l2p(trace.y[row])).toFixed(1)}`);
        }
      }
      return drawn && places.length > 1 && trace.line.width
        ? `<path class="tail" stroke="${trace.line.color}" stroke-width="${trace.line.width}" d="M${places.join("L")}"/>`
        : "";
    }).join("");
  }

  /** Bind once: after zooming in time, values fill the height again. */
  function watch(id, tries = 100) {
    const plot = plotOf(id);
    if (!plot) {
      if (tries > 0) {
        setTimeout(() => watch(id, tries - 1), 50);
      }
      return;
    }
    if (!plot.pairdeskWatched) {
      plot.pairdeskWatched = true;
      for (const event of ["plotly_afterplot", "plotly_relayouting"]) {
        plot.on(event, () => after(plot));
      }
      plot.on("plotly_relayout", (change) => {
        if (plot.pairdeskOwn > 0) {
          plot.pairdeskOwn -= 1;
        } else if (Object.keys(change).some((key) => key.startsWith("xaxis"))) {
          span().moved(plot);
          fit(plot);
        }
      });
    }
    fit(plot);
    after(plot);
  }

  /** What stands over a plot moves with it. */
  function after(plot) {
    for (const caption of document.querySelectorAll(".caption[data-axis]")) {
      const axis = plot._fullLayout[caption.dataset.axis];
      if (axis) { // there are none while nothing is drawn
        caption.style.top = `${Math.round(axis._offset - caption.offsetHeight)}px`;
      }
    }
    window.pairdesk.crosshair.draw();
    window.pairdesk.explain.mark();
    if (overlay) {
      overlay();
    }
  }

  const changeOf = (plot) => (span().wholeOf(plot)
    ? span().change(plot, (from, to, isWhole) => heights(plot, from, to, isWhole))
    : null);

  /** Time, and the values of what is in view over the whole height. */
  function fit(plot) {
    if (isBehind(plot)) {
      drawAnew(plot); // to move the axes alone would leave out what waits
      return;
    }
    const change = changeOf(plot);
    if (change) {
      plot.pairdeskOwn = (plot.pairdeskOwn || 0) + 1; // it is told of as a reader's own move is
      window.Plotly.relayout(plot, change);
    }
  }

  function heights(plot, from, to, isWhole) {
    const layout = plot._fullLayout;
    const change = {};
    for (const axis of Object.keys(layout).filter((key) => /^yaxis\d*$/.test(key))) {
      if (layout[axis].visible === false) {
        continue;
      }
      const more = axis === "yaxis" ? window.pairdesk.candles.reach(plot) : [];
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
    for (const trace of plot.data) {
      if ((trace.yaxis || "y") !== axis || !(trace.meta.rows || trace.meta.end)) {
        continue;
      }
      if (trace.meta.as === "level") {
        continue; // far levels would flatten what one has zoomed in to see
      }
      const begin = trace.x0 === undefined ? 0 : Math.max(0, Math.floor((from - trace.x0) / trace.dx));
      const end = trace.x0 === undefined ? trace.y.length : Math.ceil((to - trace.x0) / trace.dx) + 1;
      for (let row = begin; row < Math.min(end, trace.y.length); row++) {
        const inside = trace.x0 !== undefined || (trace.x[row] >= from && trace.x[row] <= to);
        if (typeof trace.y[row] === "number" && inside) {
          low = Math.min(low, trace.y[row]);
          high = Math.max(high, trace.y[row]);
        }
      }
    }
    const margin = 0.06 * (high - low) || Math.abs(high) * 1e-3;
    return low <= high ? [low - margin, high + margin] : null;
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    charts: { figure, setEnds, append, drawOver, drawAgain: () => overlay && overlay(), redraw, watch, fit, plotOf, said: (what) => saidNow[what] },
  });
})();
