// @ts-check
/* The theme: the system's, until somebody chooses. The button goes through system, light, dark; the choice stays in this browser. */
(() => {
  const key = "yard-theme";
  const root = document.documentElement;
  const order = ["system", "light", "dark"];
  const signs = { system: "◐", light: "○", dark: "●" };

  /** @returns {string} */
  function chosen() {
    const kept = localStorage.getItem(key);
    return kept && order.includes(kept) ? kept : "system";
  }

  /** @param {string} theme */
  function apply(theme) {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.textContent = signs[theme];
      button.setAttribute("aria-label", `Theme: ${theme}`);
      button.setAttribute("title", `Theme: ${theme}`);
    }
    document.dispatchEvent(new CustomEvent("yard:theme"));
  }

  apply(chosen());
  document.addEventListener("DOMContentLoaded", () => apply(chosen()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(chosen()));
  addEventListener("storage", (event) => event.key === key && apply(chosen()));
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-theme-toggle]")) return;
    const next = order[(order.indexOf(chosen()) + 1) % order.length];
    localStorage.setItem(key, next);
    apply(next);
  });
})();
