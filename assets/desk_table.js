/* The table of round trips: rows by id, the newest first, sorted by any column; a click on one goes to
   its place on the charts. It is reached as window.pairdesk.table. */
(function () {
  "use strict";

  const MOST = 400; // more are in the CSV; a reader looks at the first
  const CELLS = {
    time: (row) => row.entry,
    side: (row) => row.side,
    z: (row) => (row.z === null ? "–" : (row.z < 0 ? "−" : "+") + Math.abs(row.z).toFixed(2)),
    held: (row) => row.held_text,
    why: (row) => row.why,
    pnl: (row) => row.pnl_text,
  };
  const LOOKS = {
    side: (row) => (row.side.includes("long") ? "long" : "short"),
    pnl: (row) => (row.pnl > 0 ? "gain" : "loss"),
  };

  let rows = new Map();
  let lines = new Map(); // on screen, by the row that each is of
  let sort = { column: "time", sign: -1 };
  let shownIn = null;
  let current = null; // the round trip that the charts were sent to

  const explain = () => window.pairdesk.explain;

  function order(one, other) {
    const [a, b] = [one[sort.column], other[sort.column]];
    const by = a === b ? 0 : a === null || a < b ? -1 : 1;
    return sort.sign * by || other.time - one.time;
  }

  function lineOf(row) {
    const line = document.createElement("tr");
    line.dataset.row = row.id;
    line.append(...Object.entries(CELLS).map(([column, words]) => {
      const cell = document.createElement("td");
      cell.className = `col-${column} ${LOOKS[column] ? LOOKS[column](row) : ""}`.trim();
      if (column === "time") {
        const button = document.createElement("button");
        button.textContent = words(row);
        button.title = "Show it on the charts";
        cell.append(button);
      } else {
        cell.textContent = words(row);
      }
      if (column === "why") {
        cell.title = explain().LEFT_BY[row.why] || "";
      }
      return cell;
    }));
    return line;
  }

  /** Have just these lines in it, in their order. Those that stay are not touched: an open trip is
      another row with every bar, and the others are hundreds. */
  function put(body, wanted) {
    const isWanted = new Set(wanted);
    [...body.rows].filter((line) => !isWanted.has(line)).forEach((line) => line.remove());
    wanted.forEach((line, place) => {
      if (body.rows[place] !== line) {
        body.insertBefore(line, body.rows[place] || null);
      }
    });
  }

  function draw() {
    const body = document.getElementById(shownIn);
    if (!body) {
      return;
    }
    const shown = [...rows.values()].sort(order).slice(0, MOST);
    const held = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.row : null;
    lines = new Map(shown.map((row) => [row, lines.get(row) || lineOf(row)]));
    put(body, [...lines.values()]);
    for (const line of body.rows) {
      line.toggleAttribute("aria-current", line.dataset.row === current);
    }
    if (held !== null && !body.contains(document.activeElement) && body.querySelector(`[data-row="${held}"] button`)) {
      body.querySelector(`[data-row="${held}"] button`).focus();
    }
    if (!shown.length) {
      const cell = body.insertRow().insertCell();
      cell.colSpan = Object.keys(CELLS).length;
      cell.textContent = "No round trip on these bars";
    }
    for (const head of body.parentElement.tHead.rows[0].cells) {
      const isSorted = head.firstElementChild.dataset.column === sort.column;
      const way = sort.sign > 0 ? "ascending" : "descending";
      head.setAttribute("aria-sort", isSorted ? way : "none");
    }
  }

  function show(id, list) {
    shownIn = id;
    current = null;
    rows = new Map(list.map((row) => [row.id, row]));
    draw();
  }

  function change({ update = [], add = [] }) {
    for (const row of [...update, ...add]) {
      rows.set(row.id, row);
    }
    draw();
  }

  document.addEventListener("click", ({ target }) => {
    const line = target.closest(".round-trips tr[data-row]");
    if (line && explain().goTo(rows.get(line.dataset.row))) {
      current = line.dataset.row;
      draw();
    }
    const button = target.closest("th button[data-column]");
    if (button) {
      const { column } = button.dataset;
      sort = { column, sign: sort.column === column ? -sort.sign : column === "time" ? -1 : 1 };
      draw();
    }
  });

  window.pairdesk = Object.assign(window.pairdesk || {}, { table: { show, change, rows: () => [...rows.values()] } });
})();
