// @ts-check
/* Tables whose rows can be chosen: [data-table] holds [data-select] boxes and a [data-compare] link "Compare N".
   The link goes to data-compare-url followed by the chosen values, joined by commas. With data-keep the choice stays in
   this tab from page to page of the list: the form that the boxes belong to gets what was chosen on other pages too, and
   [data-chosen] buttons, [data-chosen-count] and [data-chosen-none] show and clear it. */
(() => {
  const kept = (name) => `yard-chosen ${name}`;
  /** @param {Element} table @returns {HTMLInputElement[]} */
  const boxes = (table) => [...table.querySelectorAll("input[data-select]")].map((box) => /** @type {HTMLInputElement} */ (box));

  /** All that is chosen, on this page and on others. @param {HTMLElement} table @returns {string[]} */
  function chosen(table) {
    const all = boxes(table);
    const here = new Set(all.map((box) => box.value));
    const before = table.dataset.keep ? JSON.parse(sessionStorage.getItem(kept(table.dataset.keep)) || "[]") : [];
    const elsewhere = before.filter((value) => !here.has(value));
    return [...elsewhere, ...all.filter((box) => box.checked).map((box) => box.value)];
  }

  /** @param {HTMLElement} table */
  function update(table) {
    const all = boxes(table);
    const here = all.filter((box) => box.checked).length;
    const values = chosen(table);
    if (table.dataset.keep) sessionStorage.setItem(kept(table.dataset.keep), JSON.stringify(values));
    const link = table.querySelector("a[data-compare]");
    if (link instanceof HTMLAnchorElement) {
      link.hidden = values.length < 2;
      link.textContent = `Compare ${values.length}`;
      link.href = table.dataset.compareUrl + values.map(encodeURIComponent).join(",");
    }
    const head = table.querySelector("input[data-select-all]");
    if (head instanceof HTMLInputElement) {
      head.checked = all.length > 0 && here === all.length;
      head.indeterminate = here > 0 && here < all.length;
    }
    for (const part of table.querySelectorAll("[data-chosen], [data-chosen-none]")) /** @type {HTMLElement} */ (part).hidden = !values.length;
    const count = table.querySelector("[data-chosen-count]");
    const away = values.length - here;
    if (count && values.length) count.textContent = `${values.length} chosen${away ? `, ${away} on other pages` : ""}`;
    else if (count) count.textContent = /** @type {HTMLElement} */ (count).dataset.none ??= count.textContent || "";
  }

  /** @param {HTMLElement} table */
  function restore(table) {
    if (table.dataset.keep) {
      const values = new Set(JSON.parse(sessionStorage.getItem(kept(table.dataset.keep)) || "[]"));
      for (const box of boxes(table)) box.checked = values.has(box.value);
    }
    update(table);
  }

  /** @param {HTMLElement} table */
  function clear(table) {
    for (const box of boxes(table)) box.checked = false;
    if (table.dataset.keep) sessionStorage.removeItem(kept(table.dataset.keep));
    update(table);
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
    const table = box instanceof Element ? box.closest("[data-table]") : null;
    if (box instanceof Element && table instanceof HTMLElement && box.matches("[data-chosen-none]")) clear(table);
    if (!(box instanceof HTMLInputElement) || !box.matches("[data-select]")) return;
    const all = boxes(box.closest("[data-table]") || document.body);
    if (event.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const between of all.slice(from, to + 1)) between.checked = box.checked;
    }
    last = box;
  });

  // What was chosen on other pages goes along; what was done to the chosen is done, and they are chosen no more.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const table = form instanceof HTMLFormElement ? form.closest("[data-table][data-keep]") : null;
    if (!(form instanceof HTMLFormElement) || !(table instanceof HTMLElement) || !event.submitter?.matches("[data-chosen]")) return;
    const here = new Set(boxes(table).map((box) => box.value));
    for (const value of chosen(table).filter((value) => !here.has(value)))
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "run", value }));
    sessionStorage.removeItem(kept(table.dataset.keep));
  });

  // The browser restores boxes on "back" without a change event; htmx may swap rows.
  const refresh = () => document.querySelectorAll("[data-table]").forEach((table) => restore(/** @type {HTMLElement} */ (table)));
  addEventListener("pageshow", refresh);
  document.addEventListener("htmx:load", refresh);
})();
