// @ts-check
/* Tables whose rows can be chosen: [data-table] holds [data-select] boxes and a [data-compare] link "Compare N".
   The link goes to data-compare-url followed by the chosen values, joined by commas. */
(() => {
  /** @param {Element} table @returns {HTMLInputElement[]} */
  const boxes = (table) => [...table.querySelectorAll("input[data-select]")].map((box) => /** @type {HTMLInputElement} */ (box));

  /** @param {HTMLElement} table */
  function update(table) {
    const all = boxes(table);
    const chosen = all.filter((box) => box.checked).map((box) => box.value);
    const link = table.querySelector("a[data-compare]");
    if (link instanceof HTMLAnchorElement) {
      link.hidden = chosen.length < 2;
      link.textContent = `Compare ${chosen.length}`;
      link.href = table.dataset.compareUrl + chosen.map(encodeURIComponent).join(",");
    }
    const head = table.querySelector("input[data-select-all]");
    if (head instanceof HTMLInputElement) {
      head.checked = all.length > 0 && chosen.length === all.length;
      head.indeterminate = chosen.length > 0 && chosen.length < all.length;
    }
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    const table = box instanceof HTMLInputElement ? box.closest("[data-table]") : null;
    if (!(table instanceof HTMLElement) || !(box instanceof HTMLInputElement)) return;
    if (box.matches("[data-select-all]")) for (const other of boxes(table)) other.checked = box.checked;
    update(table);
  });

  // Shift-click takes everything between the last box and this one.
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || !box.matches("[data-select]")) return;
    const all = boxes(box.closest("[data-table]") || document.body);
    if (event.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const between of all.slice(from, to + 1)) between.checked = box.checked;
    }
    last = box;
  });

  // The browser restores boxes on "back" without a change event; htmx may swap rows.
  const refresh = () => document.querySelectorAll("[data-table]").forEach((table) => update(/** @type {HTMLElement} */ (table)));
  addEventListener("pageshow", refresh);
  document.addEventListener("htmx:load", refresh);
})();
