/* Drawing, for any view: colours of the theme into figures, rows into traces, y to what is in view.
   It is reached as window.pairdesk.charts. */
(function () {
  "use strict";

  const NARROW = 600;
  let forming = null; // draws the open bar again
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
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
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
    if (layout.meta.narrow_right && frame && frame.clientWidth < NARROW) {
      layout.margin.r = layout.meta.narrow_right;
      layout.xaxis.nticks = 4;
    }
    // Traces share their arrays with the source, so that new rows reach both.
    return { data: source.data.map((trace) => painted(trace, style)), layout };
  }

  function replace(array, values) {
    array.splice(0, array.length, ...values);
  }

  const PLACES = { t: "top right", m: "middle right", b: "bottom right" };
  const MIRRORED = { t: "b", m: "m", b: "t" };

  /** What an end is drawn of: a label at the newest row, a level at both signs, a holding. */
  const EXPANDED = {
    tag([value, words, place], span) {
      const text = words ? [`  ${words}`] : [""];
      return { x: [span.last], y: [value], text, textposition: [PLACES[place]] };
    },
    level([level, above, below, place], span) {
      const negative = level === null ? null : -level;
      const [up, down] = [PLACES[place], PLACES[MIRRORED[place]]];
      return {
        x: [span.first, span.last, null, span.first, span.last],
        y: [level, level, null, negative, negative],
        text: ["", above && `   ${above}`, "", "", below && `   ${below}`],
        textposition: [up, up, up, down, down],
      };
    },
    holding([from, to]) {
      return from === undefined ? { x: [], y: [] } : { x: [from, from, to, to], y: [0, 1, 1, 0] };
    },
  };

  function setEnds(source, ends, span) {
    for (const trace of source.data) {
      const end = trace.meta.end && ends[trace.meta.end];
      if (end) {
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

  /** Draw the bar that is still open: dotted, over the charts, at next to no cost a second. */
  function drawForming(id, layerId, values, span) {
    const plot = plotOf(id);
    const layer = document.getElementById(layerId);
    if (!layer) {
      return;
    }
    forming = () => drawForming(id, layerId, values, span);
    if (!plot || !values || !span) {
      layer.replaceChildren();
      return;
    }
    const parts = Object.entries(values).map(([name, value]) => segment(plot, name, value, span));
    layer.innerHTML = `<svg>${parts.join("")}</svg>`;
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
    return `<path class="${name}" d="M${left.toFixed(1)} ${from.toFixed(1)}L${end.toFixed(1)} ${to.toFixed(1)}"/>` +
      `<circle class="${name}" cx="${end.toFixed(1)}" cy="${to.toFixed(1)}" r="2.5"/>`;
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
        plot.on(event, () => forming && forming());
      }
      plot.on("plotly_relayout", (change) => {
        if (Object.keys(change).some((key) => key.startsWith("xaxis"))) {
          fit(plot);
        }
      });
    }
    fit(plot);
    if (forming) {
      forming();
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
      const level = trace.meta.as === "level";
      const begin = level ? 0 : trace.x0 === undefined ? 0 : Math.max(0, Math.floor((from - trace.x0) / trace.dx));
      const end = trace.x0 === undefined ? trace.y.length : Math.ceil((to - trace.x0) / trace.dx) + 1;
      for (let row = begin; row < Math.min(end, trace.y.length); row++) {
        const inside = level || trace.x0 !== undefined || (trace.x[row] >= from && trace.x[row] <= to);
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
    charts: { figure, setEnds, append, drawForming, redraw, watch },
  });
})();
