/* What stands over the linked charts as svg of our own, at next to no cost: labels, the bar that is still
   open, rows that plotly has not drawn yet, and what desk_holes and desk_candles add. Reached as window.pairdesk.overlay. */
(function () {
  "use strict";

  const LABEL_HEIGHT = 12;
  let again = () => {};
  let saidNow = {}; // values of labels, in words

  const span = () => window.pairdesk.span;
  const axisOf = (plot, trace) => plot._fullLayout[(trace.yaxis || "y").replace("y", "yaxis")];
  const traceNamed = (plot, name) => plot.data.find(({ meta }) => meta && meta.rows === name);

  function rowsNamed(plot, name) {
    const trace = traceNamed(plot, name);
    return trace && trace.rows;
  }

  /** Draw labels, and dotted the bar that is still open, over the charts, at next to no cost. */
  function draw(id, layerId, content, ends) {
    const plot = window.pairdesk.charts.plotOf(id);
    const layer = document.getElementById(layerId);
    if (!layer) {
      return;
    }
    again = () => draw(id, layerId, content, ends);
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
    const rows = rowsNamed(plot, what);
    return rows ? [[rows.y[rows.y.length - 1], ""]] : [];
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
    const closed = traceNamed(plot, name);
    const last = closed && closed.rows.y[closed.rows.y.length - 1];
    if (typeof value !== "number" || typeof last !== "number") {
      return "";
    }
    const x = plot._fullLayout.xaxis;
    const y = axisOf(plot, closed);
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

  /** What has come since plotly drew: lines, bands, holdings and marks go on to the newest row. */
  function tails(plot) {
    const { xaxis } = plot._fullLayout;
    const { x0, dx, drawn } = rowsNamed(plot, "z");
    const since = x0 + (drawn.count - 1) * dx;
    const end = xaxis.d2l(xaxis.range[1]);
    const x = (moment) => (xaxis._offset + xaxis.l2p(moment)).toFixed(1);
    const y = (axis, value) => (axis._offset + axis.l2p(value)).toFixed(1);
    let before = [];
    return plot.data.map((trace) => {
      const axis = axisOf(plot, trace);
      if (trace.mode === "markers") {
        return marks(trace, since, end, (moment, value) => [x(moment), y(axis, value)]);
      }
      if (trace.fill === "toself") {
        return areas(trace, axis, since + dx, end, x); // a holding was drawn to the end of its newest bar
      }
      if (!trace.rows) {
        return "";
      }
      const { y: values } = trace.rows;
      const places = [];
      for (let row = drawn.count - 1; row < values.length && x0 + row * dx <= end; row++) {
        if (typeof values[row] === "number") {
          places.push(`${x(x0 + row * dx)} ${y(axis, values[row])}`);
        }
      }
      const edge = before;
      before = places;
      if (places.length < 2) {
        return "";
      }
      const band = trace.fill === "tonexty" && edge.length
        ? `<path class="area" fill="${trace.fillcolor}" d="M${[...edge, ...[...places].reverse()].join("L")}z"/>`
        : "";
      const line = trace.line.width
        ? `<path class="tail" stroke="${trace.line.color}" stroke-width="${trace.line.width}" d="M${places.join("L")}"/>`
        : "";
      return band + line;
    }).join("");
  }

  /** Holdings after a moment: five corners each, the last of which parts it from the next. */
  function areas(trace, axis, since, end, x) {
    const pieces = [];
    for (let corner = 0; corner < trace.x.length; corner += 5) {
      const [from, to] = [Math.max(since, trace.x[corner]), Math.min(end, trace.x[corner + 2])];
      if (to > from) {
        pieces.push(`M${x(from)} ${axis._offset}H${x(to)}v${axis._length}H${x(from)}z`);
      }
    }
    return pieces.length ? `<path class="area" fill="${trace.fillcolor}" d="${pieces.join("")}"/>` : "";
  }

  /** Entries and exits after a moment, in the forms that plotly gives them. */
  function marks({ x: moments, y: values, marker }, since, end, placeOf) {
    const half = marker.size / 2;
    const side = ((2 * half) / Math.sqrt(3)).toFixed(2);
    const forms = {
      "triangle-up": `m-${side} ${half / 2}h${2 * side}l-${side} -${1.5 * half}z`,
      "triangle-down": `m-${side} -${half / 2}h${2 * side}l-${side} ${1.5 * half}z`,
      circle: `m-${half} 0a${half} ${half} 0 1 0 ${2 * half} 0a${half} ${half} 0 1 0 -${2 * half} 0z`,
    };
    const pieces = moments.flatMap((moment, index) => (moment > since && moment <= end
      ? [`M${placeOf(moment, values[index]).join(" ")}${forms[marker.symbol]}`]
      : []));
    return pieces.length
      ? `<path class="mark" fill="${marker.color}" stroke="${marker.line.color}" stroke-width="${marker.line.width}" d="${pieces.join("")}"/>`
      : "";
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    overlay: { draw, again: () => again(), axisOf, escaped, said: (what) => saidNow[what] },
  });
})();
