/* One line through all charts at the bar under the pointer, its values in the captions: no box covers
   what it is about. Arrow keys move it too. It is reached as window.pairdesk.crosshair. */
(function () {
  "use strict";

  const IDS = {
    chart: "live-pair-chart",
    layer: "live-crosshair",
    plots: "live-plots",
    reading: {
      price: "live-reading-price",
      spread: "live-reading-spread",
      z: "live-reading-z",
      hedge: "live-reading-hedge",
    },
  };
  let row = null; // the bar that is read

  const charts = () => window.pairdesk.charts;
  const span = () => window.pairdesk.span;
  const minus = (words) => words.replace("-", "−");

  function valueOf(plot, rows, at, part = "y") {
    const trace = plot.data.find((one) => one.meta && one.meta.rows === rows);
    const value = trace && window.pairdesk.lines.rowsOf(trace)[part][at];
    return typeof value === "number" ? value : null;
  }

  const written = (value, digits, unit = "", signed = true) => (value === null
    ? "–"
    : `${signed && value > 0 ? "+" : ""}${minus(value.toFixed(digits))}${unit}`);

  /** A price in the decimals of the label beside the chart, which are the exchange's. */
  function priceWords(plot, leg, at) {
    const price = valueOf(plot, leg, at, "customdata");
    const label = window.pairdesk.overlay.said(leg) || "";
    const digits = label.includes(".") ? label.length - label.indexOf(".") - 1 : 0;
    return price === null ? "–" : price.toLocaleString("en-US", {
      minimumFractionDigits: digits, maximumFractionDigits: Math.max(digits, price < 1 ? 8 : 0),
    });
  }

  function heldAt(plot, moment) {
    for (const side of ["long", "short"]) {
      for (const kind of ["held", "open"]) {
        const { x = [] } = plot.data.find((one) => one.name === `${kind}_${side}`) || {};
        for (let index = 0; index < x.length; index += 5) {
          if (moment >= x[index] && moment < x[index + 2]) {
            return side;
          }
        }
      }
    }
    return null;
  }

  /** What each chart says of a bar: pieces of words with the look of each. */
  function piecesOf(plot, at, moment) {
    const held = heldAt(plot, moment);
    const [hedge] = plot.data.filter((one) => one.yaxis === "y4" && one.meta.rows).slice(-1);
    return {
      price: ["a", "b"].map((leg) => {
        const look = `leg-${leg}`;
        return [`${window.pairdesk.shell.textOf(look)} ${priceWords(plot, leg, at)} (${written(valueOf(plot, leg, at), 2, " %")})`, look];
      }),
      spread: [[`${written(valueOf(plot, "spread", at), 2, " %")} · mean ${written(valueOf(plot, "mean", at), 2, " %")}`, ""]],
      z: [
        [`z ${written(valueOf(plot, "z", at), 2)}`, ""],
        ...(held ? [[held === "long" ? "▲ held" : "▼ held", held]] : []),
      ],
      hedge: hedge ? [[`β ${written(valueOf(plot, hedge.meta.rows, at), 4, "", false)}`, ""]] : [],
    };
  }

  function write(name, pieces) {
    const place = document.getElementById(IDS.reading[name]);
    place.replaceChildren(...pieces.map(([words, look]) => {
      const part = document.createElement("span");
      part.textContent = words;
      part.className = look;
      return part;
    }));
  }

  function draw() {
    const layer = document.getElementById(IDS.layer);
    const plot = charts().plotOf(IDS.chart);
    if (!layer) {
      return;
    }
    const whole = plot && span().wholeOf(plot);
    const x = plot && plot._fullLayout.xaxis;
    const moment = whole && row !== null ? whole.first + row * whole.step : null;
    const at = moment === null ? -1 : x.l2p(moment);
    if (moment === null || row >= whole.count || at < 0 || at > x._length) {
      layer.replaceChildren();
      for (const name of Object.keys(IDS.reading)) {
        write(name, []);
      }
      return;
    }
    const { _offset: top } = plot._fullLayout.yaxis;
    const { _offset: last, _length: height } = plot._fullLayout.yaxis4;
    const left = (x._offset + at).toFixed(1);
    const words = span().momentWords(moment, whole.step);
    const chip = Math.min(Math.max(x._offset + at, x._offset + 46), x._offset + x._length - 46);
    layer.innerHTML = `<svg><path d="M${left} ${top}V${last + height}"/>` +
      `<rect x="${chip - 46}" y="${last + height + 4}" width="92" height="26" rx="4"/>` +
      `<text x="${chip}" y="${last + height + 17}">${words}</text></svg>`;
    for (const [name, pieces] of Object.entries(piecesOf(plot, row, moment))) {
      write(name, pieces);
    }
  }

  function read(at) {
    if (at !== row) {
      row = at;
      draw();
    }
  }

  /** The bar under a place of the page; null outside the charts. */
  function rowAt(plot, clientX) {
    const { xaxis: x } = plot._fullLayout;
    const whole = span().wholeOf(plot);
    const place = clientX - plot.getBoundingClientRect().left - x._offset;
    if (!whole || place < 0 || place > x._length) {
      return null;
    }
    const at = Math.round((x.p2l(place) - whole.first) / whole.step);
    return at < 0 || at >= whole.count ? null : at;
  }

  function bind() {
    const within = ({ target }) => target.closest && target.closest(`#${IDS.plots}`);
    document.addEventListener("pointermove", (event) => {
      const plot = within(event) && charts().plotOf(IDS.chart);
      read(plot ? rowAt(plot, event.clientX) : null);
    });
    document.addEventListener("pointerleave", () => read(null));
    document.addEventListener("focusout", (event) => within(event) && read(null));
    document.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const plot = event.target.id === IDS.plots && charts().plotOf(IDS.chart);
      if (!plot || (step === undefined && event.key !== "Escape")) {
        return;
      }
      event.preventDefault();
      const { count } = span().wholeOf(plot);
      const next = (row === null ? count - 1 : row) + (step || 0) * (event.shiftKey ? 10 : 1);
      read(event.key === "Escape" ? null : Math.min(count - 1, Math.max(0, next)));
    });
  }

  bind();
  window.pairdesk = Object.assign(window.pairdesk || {}, { crosshair: { draw, rowAt } });
})();
