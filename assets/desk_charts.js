/* Drawing, for any view: colours of the theme into figures, rows into traces, y to what is in view,
   labels beside it. It is reached as window.pairdesk.charts. */
(function () {
  "use strict";

  const NARROW = 600;
  const LABEL_HEIGHT = 12;
  let overlay = null; // draws labels and the open bar again
  const zooms = new Map(); // what is in view, by pair and timeframe: it outlives every figure
  const BLANK = {
    data: [],
    layout: {
      height: 1, paper_bgcolor: "--clear", plot_bgcolor: "--clear",
      xaxis: { visible: false }, yaxis: { visible: false },
    },
  };

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
    if (frame && frame.clientWidth < NARROW) {
      layout.xaxis.nticks = 4;
    }
    if (window.matchMedia("(pointer: coarse)").matches) {
      layout.dragmode = false; // a finger scrolls the page
    }
    const zoom = zooms.get(layout.meta.view);
    if (zoom) {
      Object.assign(layout.xaxis, { range: [...zoom], autorange: false });
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
  function drawOver(id, layerId, content, span) {
    const plot = plotOf(id);
    const layer = document.getElementById(layerId);
    if (!layer) {
      return;
    }
    overlay = () => drawOver(id, layerId, content, span);
    if (!plot || !span) {
      layer.replaceChildren();
      return;
    }
    const parts = Object.entries(content.forming || {})
      .map(([name, value]) => segment(plot, name, value, span));
    layer.innerHTML = `<svg>${parts.join("")}${labelled(plot, content, span)}</svg>`;
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

  /** Show changed arrays; zoom and hover stay. */
  function redraw(id) {
    const plot = plotOf(id);
    if (!plot) {
      return;
    }
    window.Plotly.redraw(plot).then(() => fit(plot));
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
        plot.on(event, () => overlay && overlay());
      }
      plot.on("plotly_relayout", (change) => {
        if (Object.keys(change).some((key) => key.startsWith("xaxis"))) {
          remember(plot);
          fit(plot);
        }
      });
    }
    fit(plot);
    if (overlay) {
      overlay();
    }
  }

  function remember({ _fullLayout: layout }) {
    if (layout.xaxis.autorange === false) {
      zooms.set(layout.meta.view, [...layout.xaxis.range]);
    } else {
      zooms.delete(layout.meta.view);
    }
  }

  function fit(plot) {
    const layout = plot._fullLayout;
    const zoomed = layout.xaxis.autorange === false;
    if (!zoomed && !plot.pairdeskFitted) {
      return;
    }
    plot.pairdeskFitted = zoomed;
    const [from, to] = layout.xaxis.range.map((moment) => layout.xaxis.d2l(moment));
    const change = {};
    for (const axis of Object.keys(layout).filter((key) => /^yaxis\d*$/.test(key))) {
      if (layout[axis].visible === false) {
        continue;
      }
      const range = zoomed ? valuesWithin(plot, axis.replace("axis", ""), from, to) : null;
      if (range) {
        change[`${axis}.range`] = range;
      } else {
        change[`${axis}.autorange`] = true;
      }
    }
    window.Plotly.relayout(plot, change);
  }

  function valuesWithin(plot, axis, from, to) {
    let low = Infinity;
    let high = -Infinity;
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
    charts: { figure, setEnds, append, drawOver, redraw, watch },
  });
})();
