/* Runs in the head, before anything is painted: the theme chosen here before, or the system's. */
(function () {
  "use strict";
  const KEY = "pairdesk.theme";
  const system = window.matchMedia("(prefers-color-scheme: light)");

  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch (error) {
      return null; // storage is off: the system's theme it is
    }
  }

  function apply(theme) {
    document.documentElement.dataset.theme = theme;
    document.documentElement.dataset.bsTheme = theme;
    return theme;
  }

  const theme = {
    current: () => document.documentElement.dataset.theme,
    toggle() {
      const next = theme.current() === "dark" ? "light" : "dark";
      try {
        localStorage.setItem(KEY, next);
      } catch (error) {
        console.info("The theme is not remembered: storage is off.");
      }
      return apply(next);
    },
  };
  // On pages without dash, too; where dash is it follows (assets/desk_shell.js).
  document.addEventListener("click", ({ target }) => target.closest(".theme-toggle") && theme.toggle(), true);
  const kept = remembered();
  apply(kept === "dark" || kept === "light" ? kept : system.matches ? "light" : "dark");
  window.pairdesk = Object.assign(window.pairdesk || {}, { theme });
})();
