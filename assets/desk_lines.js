/* Lines of many rows, as few points as look the same: a pixel's column shows the lowest and the highest
   of its rows. All rows stay with their trace, as `rows`; what plotly draws is made of those in view.
   Reached as window.pairdesk.lines. */
(function () {
  "use strict";

  const FEWEST = 3; // of two rows a column shows both

  /** Make values of the steps that a server's figure comes with (app/views/live/packed.py). */
  function unpack(figure) {
    for (const trace of figure.data) {
      for (const part of ["y", "customdata"]) {
        if (trace[part] && trace[part].steps) {
          trace[part] = valuesOf(trace[part]);
        }
      }
    }
  }

  function valuesOf({ digits, steps }) {
    const unit = 10 ** digits;
    let whole = 0;
    return steps.map((step) => {
      whole += step; // nothing where a value is missing
      return step === null ? null : whole / unit;
    });
  }

  /** All rows of a trace, of the server's figure or of a plot. */
  const rowsOf = (trace) => trace.rows || trace;

  /** A trace of a plot, which keeps all rows and has none to draw yet. */
  function kept(trace) {
    const { x0, dx, y, customdata, ...look } = trace;
    return { ...look, rows: { x0, dx, y, customdata, drawn: { count: 0 } }, x: [], y: [] };
  }

  /** Which rows are drawn, `size` of them to a column. Columns begin at multiples of `size`: they stay
      what they are while rows come and the view moves. Those at either end, and those with a hole, are
      drawn whole. */
  function picked(y, { begin, end, size }) {
    const rows = [];
    for (let left = begin - (begin % size); left < end; left += size) {
      const right = Math.min(left + size, y.length);
      let isWhole = size < FEWEST || left === 0 || right === y.length;
      let low = left;
      let high = left;
      let [least, most] = [y[left], y[left]];
      for (let row = left; row < right && !isWhole; row++) {
        const value = y[row];
        if (value === null) {
          isWhole = true;
        } else if (value < least) {
          [low, least] = [row, value];
        } else if (value > most) {
          [high, most] = [row, value];
        }
      }
      if (isWhole) {
        for (let row = left; row < right; row++) {
          rows.push(row);
        }
      } else {
        rows.push(Math.min(low, high));
        if (low !== high) {
          rows.push(Math.max(low, high));
        }
      }
    }
    return rows;
  }

  /** The rows between two moments, one more at either side, and how many share a column. */
  function stretch({ x0, dx, y }, [from, to], width) {
    const within = (row) => Math.min(y.length, Math.max(0, row));
    return {
      begin: within(Math.floor((from - x0) / dx)),
      end: within(Math.ceil((to - x0) / dx) + 1),
      size: Math.max(1, Math.floor((to - from) / dx / width)),
      count: y.length,
    };
  }

  const allOf = ({ x0, dx, y }) => [x0, x0 + dx * (y.length - 1)];

  /** Give every trace that has rows the points of what is in view. Without a range all is; a pointer
      then reads one row of every trace, so each has the rows of the others too. */
  function fill(data, range, width) {
    const traces = data.filter((trace) => trace.rows);
    for (const { rows } of traces) {
      rows.drawn = stretch(rows, range || allOf(rows), width);
    }
    const own = traces.map(({ rows }) => picked(rows.y, rows.drawn));
    const shared = range ? null : [...new Set(own.flat())].sort((one, other) => one - other);
    traces.forEach((trace, index) => {
      const { x0, dx, y } = trace.rows;
      const points = shared || own[index];
      trace.x = points.map((row) => x0 + row * dx);
      trace.y = points.map((row) => y[row]);
    });
  }

  /** Whether a trace's points are still those of what is in view. */
  function isFilled({ rows }, range, width) {
    const now = stretch(rows, range || allOf(rows), width);
    return Object.keys(now).every((part) => now[part] === rows.drawn[part]);
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, {
    lines: { fill, isFilled, kept, picked, rowsOf, unpack },
  });
})();
