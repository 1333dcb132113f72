/* Terms where they stand: what help says of a word comes beside it on hover, focus or a finger's first
   touch. The words are those of /help itself, fetched when the first one is wanted. */
(function () {
  "use strict";

  const TERM = "a.term";
  const LOOK_MS = 250; // a pointer on its way elsewhere opens nothing
  const LEAVE_MS = 200; // long enough to get from the word to its explanation
  const WIDTH = 320;
  const EDGE = 8;

  let help = null; // the page's document, once it was fetched
  let tip = null;
  let shownOf = null;
  let timer = null;
  let touched = null; // the word that a finger has opened: its second touch follows the link

  async function page() {
    if (!help) {
      const answer = await fetch("/help");
      if (!answer.ok) {
        throw new Error(`help answers ${answer.status}`);
      }
      help = new DOMParser().parseFromString(await answer.text(), "text/html");
    }
    return help;
  }

  /** A heading of help with what stands below it, up to the next one. */
  function entry(document_, anchor) {
    const heading = document_.getElementById(anchor);
    const parts = [];
    for (let next = heading.nextElementSibling; next && !/^H\d$/.test(next.tagName); next = next.nextElementSibling) {
      parts.push(document.importNode(next, true));
    }
    const name = document.createElement("b");
    name.textContent = heading.textContent;
    return [name, ...parts];
  }

  function made() {
    if (!tip) {
      tip = document.createElement("div");
      Object.assign(tip, { id: "term-tip", className: "term-tip", hidden: true });
      tip.setAttribute("role", "tooltip");
      tip.addEventListener("pointerenter", () => clearTimeout(timer));
      tip.addEventListener("pointerleave", () => later(hide, LEAVE_MS));
      document.body.append(tip);
    }
    return tip;
  }

  function later(deed, ms) {
    clearTimeout(timer);
    timer = setTimeout(deed, ms);
  }

  function hide() {
    clearTimeout(timer);
    touched = null;
    if (shownOf) {
      shownOf.removeAttribute("aria-describedby");
      shownOf = null;
      tip.hidden = true;
    }
  }

  async function show(word) {
    if (shownOf === word) {
      return;
    }
    hide();
    shownOf = word;
    const box = made();
    const place = word.getAttribute("href");
    let parts;
    try {
      parts = entry(await page(), decodeURIComponent(place.split("#")[1]));
    } catch (error) {
      parts = ["No answer from the desk's server: help can't be read now."];
    }
    if (shownOf !== word) {
      return; // something else is wanted by now
    }
    box.replaceChildren(...parts);
    for (const link of box.querySelectorAll("a")) {
      // A link of help is to another place of it.
      link.setAttribute("href", `/help${link.getAttribute("href")}`);
      link.target = "help";
    }
    word.setAttribute("aria-describedby", box.id);
    box.hidden = false;
    put(box, word.getBoundingClientRect());
  }

  /** Below the word, above it where there is no room. */
  function put(box, word) {
    const width = Math.min(WIDTH, document.documentElement.clientWidth - 2 * EDGE);
    box.style.width = `${width}px`;
    const left = Math.min(word.left, document.documentElement.clientWidth - width - EDGE);
    const isBelow = word.bottom + box.offsetHeight + EDGE <= window.innerHeight || word.top < box.offsetHeight + EDGE;
    box.style.left = `${Math.max(EDGE, left)}px`;
    box.style.top = `${isBelow ? word.bottom + 4 : word.top - box.offsetHeight - 4}px`;
  }

  const termOf = ({ target }) => target instanceof Element && target.closest(TERM);

  document.addEventListener("pointerover", (event) => {
    const word = event.pointerType === "mouse" && termOf(event);
    if (word) {
      later(() => show(word), LOOK_MS);
    }
  });
  document.addEventListener("pointerout", (event) => {
    if (event.pointerType === "mouse" && termOf(event)) {
      later(hide, LEAVE_MS);
    }
  });
  document.addEventListener("focusin", (event) => {
    const word = termOf(event);
    if (word && word.matches(":focus-visible")) {
      show(word);
    } else if (shownOf && !made().contains(event.target)) {
      hide();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    const word = termOf(event);
    if (event.pointerType !== "mouse" && word) {
      touched = touched === word ? null : word;
    } else if (shownOf && !made().contains(event.target)) {
      hide();
    }
  });
  document.addEventListener("click", (event) => {
    const word = termOf(event);
    if (word && word === touched) {
      event.preventDefault();
      show(word).then(() => { touched = word; });
    }
  });
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  document.addEventListener("scroll", ({ target }) => {
    if (shownOf && !tip.contains(target)) {
      put(tip, shownOf.getBoundingClientRect());
    }
  }, { capture: true, passive: true });
})();
