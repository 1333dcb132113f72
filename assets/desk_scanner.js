/* The Scanner's grid and deeds: blocks of rows asked for as it is scrolled, a pair chosen by arrow or
   click, scans asked for and cancelled, a pair watched. app/views/scanner/grid.py makes the rows. */
(function () {
  "use strict";

  const IDS = {
    block: "scanner-block",
    grid: "scanner-grid",
    pairs: "scanner-pairs",
    request: "scanner-block-request",
  };
  const AGAIN_MS = 1000;
  const LOOK_MS = 1000;
  const narrow = window.matchMedia("(max-width: 480px)");

  let api = null;
  let askBlock = null;
  let newest = 0; // number of the last question: what was asked before it is of no use any more
  let shown = null; // of which scan and bar the rows are, and by which filters

  const alerts = () => window.pairdesk.alerts;
  const watch = () => window.pairdesk.watch;

  /** The grid is there: columns for this window, and the order and place of before. */
  function begin() {
    api = window.dash_ag_grid.getApi(IDS.grid);
    askBlock = window.pairdesk.asker(`${IDS.block}.data`);
    api.setGridOption("focusGridInnerElement", () => {
      enter(0);
      return true;
    });
    narrow.addEventListener("change", fit);
    fit();
    const { sort } = watch().asked();
    if (sort) {
      const order = { colId: sort.replace("-", ""), sort: sort.startsWith("-") ? "desc" : "asc" };
      api.applyColumnState({ state: [order], defaultState: { sort: null } });
    }
    const { top } = history.state || {};
    api.addEventListener("modelUpdated", function back() {
      if (api.getDisplayedRowCount() > 1) {
        api.removeEventListener("modelUpdated", back);
        goTo(top || 0);
      }
    });
  }

  /** Show rows from this one on, where there are as many. */
  function goTo(row) {
    const last = api.getDisplayedRowCount() - 1;
    if (last >= 0) {
      api.ensureIndexVisible(Math.min(row, last), "top");
    }
  }

  function fit() {
    const wide = api.getColumns().filter((column) => column.getColDef().context.isWide);
    api.setColumnsVisible(wide, !narrow.matches);
  }

  /** The order as it is asked for, of columns that have one. */
  function orderOf(columns) {
    const [{ colId, sort }] = columns.filter((column) => column.sort);
    return (sort === "desc" ? "-" : "") + colId;
  }

  /** What decides which rows there are: all that is asked for but their order and the chosen one. */
  function filtersOf({ row, sort, ...filters }) {
    return JSON.stringify(filters);
  }

  /** A block of rows, asked for until it comes: the grid itself would wait for ever. */
  async function rows(request) {
    if (!request) {
      return window.pairdesk.shell.unchanged();
    }
    if (!api) {
      begin();
    }
    newest += 1;
    const mine = newest;
    while (mine === newest) {
      const asked = watch().asked();
      const question = { ...asked, sort: orderOf(request.sortModel), offset: request.startRow };
      const told = await askBlock({ [`${IDS.request}.data`]: question }, {}, true);
      if (told) {
        shown = { made: told.made, filters: filtersOf(asked) };
        return told;
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    return window.pairdesk.shell.unchanged();
  }

  /** Wherever its row is now. */
  function markChosen() {
    const node = api && api.getRowNode(watch().asked().row);
    if (node && node.data && !node.isSelected()) {
      node.setSelected(true, true);
    }
  }

  /** Others are asked for where scan, bar or filters are others; the place stays but for filters. */
  function renew() {
    markChosen();
    const head = document.querySelector(`#${IDS.pairs} [data-made]`);
    if (!shown || !head) {
      return;
    }
    const now = { made: head.dataset.made, filters: filtersOf(watch().asked()) };
    const isOther = now.filters !== shown.filters;
    if (isOther || now.made !== shown.made) {
      shown = now;
      if (isOther) {
        goTo(0);
      }
      api.refreshInfiniteCache();
    }
  }

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

  /** Into the grid, to the pair that is chosen or one beside it; else to the first one. */
  function enter(step) {
    const [chosen] = api.getSelectedNodes();
    const at = chosen ? Math.max(chosen.rowIndex + step, 0) : 0;
    if (at < api.getDisplayedRowCount()) {
      api.ensureIndexVisible(at);
      api.setFocusedCell(at, "pair");
    }
  }

  /** Arrows lead into the grid from anywhere, and are its own there; Enter opens the chosen pair. */
  function onKey(event) {
    const isElsewhere = event.target.closest("input, select, textarea, dialog, [role=dialog], .ag-header");
    if (!api || isElsewhere || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const [chosen] = api.getSelectedNodes();
    if (/^Arrow(Up|Down)$/.test(event.key) && !event.target.closest(`#${IDS.grid}`)) {
      event.preventDefault();
      enter({ ArrowDown: 1, ArrowUp: -1 }[event.key]);
    } else if (event.key === "Enter" && chosen && !event.target.closest("a, button")) {
      location.assign(chosen.data.link);
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
  document.addEventListener("pairdesk:told", renew);
  setInterval(renew, LOOK_MS);

  window.dashAgGridComponentFunctions = Object.assign(window.dashAgGridComponentFunctions || {}, {
    /** A cell as the server made it, every text in it escaped; nothing while its block is under way. */
    ScannerCell: ({ value }) => (
      window.React.createElement("span", { dangerouslySetInnerHTML: { __html: value || "" } })
    ),
  });
  window.dashAgGridFunctions = Object.assign(window.dashAgGridFunctions || {}, {
    scannerFocused({ api: grid, rowIndex }) {
      const node = grid.getDisplayedRowAtIndex(rowIndex);
      if (node && node.data) {
        node.setSelected(true, true);
      }
    },
    scannerSelected({ api: grid }) {
      const [node] = grid.getSelectedNodes();
      if (node && node.id !== watch().asked().row) {
        watch().ask({ row: node.id });
      }
    },
    scannerSorted({ api: grid }) {
      watch().ask({ sort: orderOf(grid.getColumnState()) });
    },
    scannerScrolled({ api: grid }) {
      const { rowHeight } = grid.getSizesForCurrentTheme();
      const top = Math.round(grid.getVerticalPixelRange().top / rowHeight);
      history.replaceState({ ...history.state, top }, "");
    },
    scannerTab({ api: grid, backwards }) {
      if (backwards) {
        setTimeout(() => grid.setFocusedHeader("pair"), 0); // after the cell has got its focus back
      }
      return backwards;
    },
  });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    desk_scanner: {
      rows,
    },
  });
})();
