/* The Scanner's own keys and deeds: rows by arrow, scans asked for and cancelled, a pair watched. */
(function () {
  "use strict";

  const IDS = {
    table: "scanner-table",
  };
  const alerts = () => window.pairdesk.alerts;

  async function scanNow({ timeframe, bars }) {
    const job = await alerts().write("POST", "/api/jobs", { kind: "scan", timeframe, bars: Number(bars) });
    window.pairdesk.toasts.say({
      heading: `Scan of ${job.spec.timeframe} asked for`,
      words: `Job ${job.id}; the table follows when it is done.`,
    });
  }

  const deeds = {
    now: scanNow,
    cancel: ({ id }) => alerts().write("DELETE", `/api/jobs/${id}`),
    watch: ({ query }) => alerts().watchPair(query),
  };

  /** Choose the row above or below; Enter opens it in Live. */
  function onKey(event) {
    const table = document.getElementById(IDS.table);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const isElsewhere = event.target.closest("input, select, textarea, dialog, [role=dialog]");
    if (!table || isElsewhere || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const rows = [...table.querySelectorAll("tr[data-value]")];
    const at = rows.findIndex((row) => row.dataset.value === window.pairdesk.watch.asked().row);
    if (step && rows.length) {
      event.preventDefault();
      const row = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
      window.pairdesk.watch.ask({ row: row.dataset.value });
      row.scrollIntoView({ block: "nearest" });
      rows.forEach((one) => one.classList.toggle("on", one === row));
    } else if (event.key === "Enter" && at >= 0 && !event.target.closest("a, button")) {
      rows[at].cells[0].firstElementChild.click(); // its link
    }
  }

  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-scan]");
    const deed = element && deeds[element.dataset.scan];
    if (deed) {
      Promise.resolve(deed(element.dataset)).catch(alerts().refused);
    }
  });
  document.addEventListener("keydown", onKey);
})();
