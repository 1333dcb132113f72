/* "Check honesty": has the pair on screen checked by a job and shows what each check found. What is
   pressed carries the pair's query as data-honesty; on Live it is what the screen shows. */
(function () {
  "use strict";

  const IDS = {
    button: "check-honesty",
    dialog: "honesty-checks",
  };
  const LOOKS = { true: ["✓", "passed"], false: ["✕", "bad"], null: ["–", "muted"] };
  const EVERY_MS = 700;
  const OPEN = ["queued", "running"];
  let asked = 0; // what was asked for last; older answers are nobody's any more

  const alerts = () => window.pairdesk.alerts;
  const part = (...given) => window.pairdesk.parts.part(...given);

  function show(...content) {
    const heading = part("h2", { textContent: "Check honesty" });
    window.pairdesk.parts.show(document.getElementById(IDS.dialog), heading, ...content);
  }

  function check({ label, passed, words }) {
    const [mark, look] = LOOKS[passed];
    const state = passed === null ? "not checked" : passed ? "passed" : "failed";
    const said = part("span", { className: look, textContent: mark, title: state });
    said.setAttribute("role", "img");
    said.setAttribute("aria-label", state);
    return part("li", {}, said, part("b", { textContent: label }), part("p", { textContent: words }));
  }

  async function fetched(path) {
    const answer = await fetch(path);
    const content = await answer.json();
    if (!answer.ok) {
      throw new Error(content.detail || content.title);
    }
    return content;
  }

  async function run(query) {
    const mine = ++asked;
    const body = { ...Object.fromEntries(new URLSearchParams(query)), kind: "honesty" };
    let job = await alerts().write("POST", "/api/jobs", body);
    const pair = `${job.spec.symbol_a} / ${job.spec.symbol_b} ${job.spec.timeframe}`;
    while (OPEN.includes(job.state)) {
      const bar = part("progress", { max: 1, value: job.progress });
      bar.setAttribute("aria-label", "Progress");
      const cancel = part("button", {
        className: "btn-small", type: "button", textContent: "Cancel",
        onclick: () => alerts().write("DELETE", `/api/jobs/${job.id}`).catch(alerts().refused),
      });
      show(part("p", { textContent: `${pair}: ${job.message}` }), bar, cancel);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      if (mine !== asked || !document.getElementById(IDS.dialog).open) {
        return;
      }
      job = await fetched(`/api/jobs/${job.id}`);
    }
    if (job.state !== "done") {
      show(part("p", { className: "bad", textContent: `${pair}: ${job.state}. ${job.message}` }));
      return;
    }
    const { verdict, checks } = await fetched(`/api/jobs/${job.id}/result`);
    show(
      part("p", { className: "muted", textContent: pair }),
      part("p", { className: "strong", textContent: verdict }),
      part("ul", { className: "checks" }, ...checks.map(check)),
    );
  }

  document.addEventListener("click", (event) => {
    const pressed = event.target.closest(`#${IDS.button}, [data-honesty]`);
    if (pressed) {
      const query = pressed.dataset.honesty || window.pairdesk.live.query();
      run(query).catch((error) => {
        document.getElementById(IDS.dialog).close();
        alerts().refused(error);
      });
    }
  });
})();
