/* Stretches without bars, and since when a leg has stopped: hatched over all charts, and what a z that is
   not there waits for. It is reached as window.pairdesk.holes. */
(function () {
  "use strict";

  const span = () => window.pairdesk.span;

  /** Stretches without a bar of a leg are hatched over all charts; the newest says how much. So is the
      time since a leg has stopped. */
  function drawn(plot, ends) {
    const whole = span().wholeOf(plot);
    const { xaxis: x, yaxis: first, yaxis2: second, yaxis4: last } = plot._fullLayout;
    const [from, to] = span().inView(plot);
    const parts = [];
    const hatch = (...moments) => {
      const [left, right] = moments.map((moment) => x._offset + x.l2p(Math.min(to, Math.max(from, moment))));
      if (right > left) {
        parts.push(`<rect class="hole" x="${left.toFixed(1)}" y="${first._offset}" width="${Math.max(2, right - left).toFixed(1)}" height="${last._offset + last._length - first._offset}"/>`);
      }
      return [left, right];
    };
    const end = whole.last + whole.step;
    const stopped = ends && ends.stopped ? ends.stopped : end;
    hatch(stopped, end);
    let note = "";
    for (const [begin, after] of missing(plot)) {
      const [left, right] = hatch(whole.first + begin * whole.step, Math.min(stopped, whole.first + after * whole.step));
      if (right > left) {
        const isRight = left - x._offset > x._length / 2;
        const count = after - begin;
        note = `<text class="t" x="${(isRight ? left - 6 : right + 6).toFixed(1)}" y="${second._offset + 8}" text-anchor="${isRight ? "end" : "start"}">` +
          `${count.toLocaleString("en-US")} ${count === 1 ? "bar" : "bars"} missing</text>`;
      }
    }
    const hatched = parts.length ? `${HATCH}${parts.join("")}${note}` : "";
    return hatched + countdown(plot, Math.min(stopped, whole.last), (ends && ends.waits) || []);
  }

  /** What z waits for, and how long, beside where it ends. */
  function countdown(plot, moment, words) {
    const { xaxis: x, yaxis3: axis } = plot._fullLayout;
    const place = x._offset + Math.min(x._length, Math.max(0, x.l2p(moment)));
    const isRight = place - x._offset > x._length / 2;
    return words.map((line, row) => `<text class="${row ? "m" : "t strong"}" x="${(isRight ? place - 6 : place + 6).toFixed(1)}" ` +
      `y="${axis._offset + 10 + 14 * row}" text-anchor="${isRight ? "end" : "start"}">${window.pairdesk.overlay.escaped(line)}</text>`).join("");
  }

  const HATCH = '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">' +
    '<rect class="stripe" width="2" height="6"/></pattern></defs>';

  /** Runs of rows that lack a leg: [first row, row after the last]. */
  function missing(plot) {
    const { y } = plot.data.find((trace) => trace.meta && trace.meta.rows === "a").rows;
    const runs = [];
    for (let row = 0; row < y.length; row++) {
      if (y[row] === null) {
        const open = runs[runs.length - 1];
        if (open && open[1] === row) {
          open[1] = row + 1;
        } else {
          runs.push([row, row + 1]);
        }
      }
    }
    return runs;
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, { holes: { drawn } });
})();
