/* What scripts make by hand: an element with its parts, and what a dialog shows. Reached as
   window.pairdesk.parts. */
(function () {
  "use strict";

  function part(name, properties, ...children) {
    const { role, ...rest } = properties; // not a property in every browser
    const made = Object.assign(document.createElement(name), rest);
    if (role) {
      made.setAttribute("role", role);
    }
    made.append(...children);
    return made;
  }

  function closing(onclick) {
    const button = part("button", { className: "btn-close", type: "button", onclick });
    button.setAttribute("aria-label", "Close");
    return button;
  }

  /** Fill a dialog's one part and show it; its own Escape closes it. */
  function show(dialog, ...content) {
    dialog.firstElementChild.replaceChildren(closing(() => dialog.close()), ...content);
    if (!dialog.open) {
      dialog.showModal();
    }
    return dialog;
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, { parts: { part, closing, show } });
})();
