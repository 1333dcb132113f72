/* The Lab's report: one html file that stands alone, with what is shown, its drawings and its look, every
   parameter, and the links that show it again and run it again. A sweep is first run again as a report,
   which has the honesty check with it. */
(function () {
  "use strict";

  const IDS = {
    main: "lab-main",
    form: "lab-form",
    runs: "lab-runs",
  };

  let wanted = null; // the report that is saved once it is shown

  const alerts = () => window.pairdesk.alerts;
  const part = (...given) => window.pairdesk.parts.part(...given);

  const textOf = async (address) => (await fetch(address)).text();

  async function dataOf(address) {
    const blob = await (await fetch(address)).blob();
    return new Promise((resolve, reject) => {
      const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: reject });
      reader.readAsDataURL(blob);
    });
  }

  /** The page's sheets with their fonts in them, as they were written: of rules as a browser tells
      them, fonts and sizes made of variables are left out. */
  async function look() {
    const addresses = [...document.styleSheets].map(({ href }) => href).filter(Boolean);
    const sheets = await Promise.all(addresses.map(async (address) => {
      const text = await textOf(address);
      const fonts = [...text.matchAll(/url\("([^"]+\.woff2)"\)/g)];
      const told = await Promise.all(fonts.map(([, font]) => dataOf(new URL(font, address))));
      return fonts.reduce((made, [, font], place) => made.replace(font, told[place]), text);
    }));
    return sheets.join("\n");
  }

  /** What is shown without what is pressed; links lead back to the desk. */
  function shown() {
    const copy = document.getElementById(IDS.main).cloneNode(true);
    for (const id of [IDS.form, IDS.runs]) {
      const frame = copy.querySelector(`#${id}`);
      frame.closest("section").remove();
    }
    copy.querySelectorAll("button").forEach((button) => button.remove());
    copy.querySelectorAll("select").forEach((field) => field.replaceWith(`: ${field.selectedOptions[0].textContent}`));
    copy.querySelectorAll("a[href]").forEach((link) => link.setAttribute("href", link.href));
    copy.querySelectorAll("svg").forEach((svg) => svg.setAttribute("xmlns", "http://www.w3.org/2000/svg"));
    return copy;
  }

  function parameters(spec) {
    const rows = Object.entries(spec)
      .filter(([, value]) => value !== null && value !== "")
      .map(([name, value]) => part("tr", {}, part("td", { className: "left", textContent: name }), part("td", { textContent: String(value) })));
    const head = part("div", { className: "panel-head" }, part("h2", { textContent: "Parameters" }));
    return part("section", { className: "panel-desk frame parameters" }, head, part("table", { className: "table-desk" }, ...rows));
  }

  async function save(id) {
    const answer = await fetch(`/api/jobs/${id}`);
    const { spec, asked, ended } = await answer.json();
    const link = `${location.origin}/lab#run-${id}`;
    const [began, done] = [asked, ended].map((moment) => `${moment.slice(0, 16).replace("T", " ")} UTC`);
    const pair = `${spec.symbol_a} / ${spec.symbol_b} ${spec.timeframe}`;
    const page = document.implementation.createHTMLDocument(`${pair} · Pairdesk`);
    page.documentElement.lang = "en";
    const { theme, bsTheme } = document.documentElement.dataset;
    Object.assign(page.documentElement.dataset, { theme, bsTheme });
    page.head.append(
      part("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
      part("style", { textContent: await look() }),
    );
    const head = part("header", { className: "lab" });
    head.append(
      part("h1", { textContent: spec.name ? `${pair}: ${spec.name}` : pair }),
      part("p", {}, `Asked ${began}, done ${done}. `, part("a", { href: link, textContent: link })),
    );
    page.body.append(head, shown(), part("div", { className: "lab" }, parameters(spec)));
    page.head.prepend(Object.assign(page.createElement("meta"), { httpEquiv: "content-type", content: "text/html; charset=utf-8" }));
    const file = new Blob(["<!DOCTYPE html>\n", page.documentElement.outerHTML], { type: "text/html" });
    const anchor = part("a", { href: URL.createObjectURL(file), download: `pairdesk-${spec.symbol_a}-${spec.symbol_b}-run-${id}.html` });
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 0);
  }

  async function begin(id) {
    const answer = await fetch(`/api/jobs/${id}`);
    const { spec } = await answer.json();
    const job = await alerts().write("POST", "/api/jobs", { ...spec, kind: "report" });
    wanted = job.id;
    window.pairdesk.watch.ask({ run: job.id });
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest && target.closest("[data-report], [data-report-of]");
    if (button) {
      const { report, reportOf } = button.dataset;
      (report ? save(report) : begin(reportOf)).catch(alerts().refused);
    }
  });
  document.addEventListener("pairdesk:told", () => {
    if (wanted && document.querySelector(`[data-report="${wanted}"]`)) {
      save(wanted).catch(alerts().refused);
      wanted = null;
    }
  });
})();
