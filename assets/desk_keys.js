/* Keys of the page. What a key presses carries it as data-key, on whichever view it stands; the sheet
   (?) lists what is there. It is reached as window.pairdesk.keys. */
(function () {
  "use strict";

  const IDS = {
    commands: "commands",
    commandsOpen: "commands-open",
    keys: "keys",
    keysOpen: "keys-open",
  };
  const OFF_KEY = "pairdesk.keys.off"; // single letters can be turned off, for who dictates
  const OPEN = "dialog[open]";
  const FIXED = [["/", "Search or command"], ["u", "Back, like undo"], ["?", "This sheet"]];

  const element = (id) => document.getElementById(id);
  const part = (...given) => window.pairdesk.parts.part(...given);
  const isOff = () => window.pairdesk.watch.stored(OFF_KEY) === true;

  function keyed() {
    return [...document.querySelectorAll("[data-key]")].filter((one) => one.offsetParent !== null);
  }

  function nameOf(one) {
    return one.dataset.says || one.title || one.getAttribute("aria-label") || one.textContent;
  }

  /** A button is clicked, a group takes its next choice, a picker opens. */
  function press(one) {
    const choices = [...one.querySelectorAll("input[type=radio]")];
    if (one.matches(".picker")) {
      window.pairdesk.picker.open(one.id);
    } else if (choices.length) {
      const next = choices[(choices.findIndex((choice) => choice.checked) + 1) % choices.length];
      next.click();
      next.focus();
    } else {
      one.click();
    }
  }

  function sheet() {
    const rows = [...FIXED, ...keyed().map((one) => [one.dataset.key, nameOf(one)])];
    const list = part("dl", { className: "key-list" }, ...rows.map(([key, words]) => part(
      "div", {}, part("dt", {}, part("kbd", { textContent: key })), part("dd", { textContent: words }),
    )));
    const box = part("input", { type: "checkbox", checked: !isOff() });
    box.addEventListener("change", () => window.pairdesk.watch.store(OFF_KEY, !box.checked));
    const help = part("a", { href: "/help", textContent: "Help: every term, and the method" });
    window.pairdesk.parts.show(element(IDS.keys), part("h2", { textContent: "Keys" }), list,
      part("p", {}, part("label", {}, box, " Single keys are on")), part("p", {}, help));
  }

  function isWriting(target) {
    return target.matches("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
  }

  function onKey(event) {
    const isBox = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey;
    if (isBox) {
      event.preventDefault();
      element(IDS.commandsOpen).click();
      return;
    }
    const isFree = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat
      && !isWriting(event.target) && !document.querySelector(OPEN);
    if (!isFree || (isOff() && event.key !== "?")) {
      return;
    }
    const deeds = { "/": () => element(IDS.commandsOpen).click(), "?": sheet, u: () => history.back() };
    const found = keyed().find((one) => one.dataset.key === event.key);
    if (event.key in deeds) {
      event.preventDefault();
      deeds[event.key]();
    } else if (found) {
      event.preventDefault();
      press(found);
    }
  }

  document.addEventListener("keydown", onKey);
  document.addEventListener("click", ({ target }) => target.closest(`#${IDS.keysOpen}`) && sheet());
  // A click beside a dialog closes it.
  document.addEventListener("mousedown", ({ target }) => target.matches("dialog.sheet[open]") && target.close());

  window.pairdesk = Object.assign(window.pairdesk || {}, { keys: { sheet } });
})();
