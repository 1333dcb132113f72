/* The Lab: what the form holds goes to the tick, which says what it would take, and to the API, which
   has it done. app/views/lab makes everything that is shown. */
(function () {
  "use strict";

  const IDS = {
    form: "lab-form",
  };
  const PAUSE_MS = 250; // of typing, before its words are asked for
  let timer = null;

  const alerts = () => window.pairdesk.alerts;
  const watch = () => window.pairdesk.watch;
  const fields = () => [...document.querySelectorAll(`#${IDS.form} [data-lab-field]`)];
  const values = () => Object.fromEntries(
    fields().map((element) => [element.dataset.labField, element.value.trim()]).filter(([, value]) => value),
  );

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(() => watch().ask({ form: values() }), PAUSE_MS);
  }

  /** The pair of the link, once the fields are there. */
  function begin() {
    const form = document.getElementById(IDS.form);
    if (!form || form.dataset.begun || !fields().length) {
      return;
    }
    form.dataset.begun = "yes";
    const asked = new URLSearchParams(location.search);
    for (const element of fields()) {
      const given = asked.get(element.dataset.labField);
      if (given && (element.tagName !== "SELECT" || [...element.options].some((one) => one.value === given))) {
        element.value = given;
      }
    }
    changed();
  }

  /** What the link says of the pair and no field holds: costs, notional, one's own thresholds. */
  function own() {
    const names = ["window", "entry_z", "exit_z", "exit_rule", "stop_z", "max_hold_bars", "hedge", "hedge_window", "hedge_window_values", "fee_bps", "slippage_bps", "notional"];
    const asked = new URLSearchParams(location.search);
    return Object.fromEntries(names.filter((name) => asked.get(name)).map((name) => [name, asked.get(name)]));
  }

  const deeds = {
    async run() {
      const job = await alerts().write("POST", "/api/jobs", { ...own(), ...values(), kind: "sweep" });
      watch().ask({ run: job.id });
    },
    cancel: ({ id }) => alerts().write("DELETE", `/api/jobs/${id}`),
  };

  document.addEventListener("click", ({ target }) => {
    const button = target.closest && target.closest("[data-lab-do]");
    if (button) {
      deeds[button.dataset.labDo](button.dataset).catch(alerts().refused);
    }
  });
  for (const event of ["input", "change"]) {
    document.addEventListener(event, ({ target }) => target.dataset && target.dataset.labField && changed());
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.dataset && "ask" in event.target.dataset) {
      event.target.click();
    }
  });
  document.addEventListener("pairdesk:told", begin);
})();
