// @ts-check
/* [data-choice]: a text input and a datalist of rows, which htmx reads again while one types. The browser's own list
   hides all but the chosen name and looks like nothing else here, so this draws it: a combobox with a listbox below.
   Arrows move, Enter chooses, Esc closes; leaving the field keeps what was typed. */
(() => {
  const input = (/** @type {Element | null} */ box) => /** @type {HTMLInputElement} */ (box?.querySelector("input"));
  const list = (/** @type {Element} */ box) => /** @type {HTMLElement} */ (box.querySelector("ul"));
  const rows = (/** @type {Element} */ box) => [...box.querySelectorAll("li[role=option]")];
  const here = (/** @type {EventTarget | null} */ target) => (target instanceof Element ? target.closest("[data-choice]") : null);

  /** @param {Element} box */
  function bind(box) {
    const field = input(box);
    if (!field.list) return;
    const made = Object.assign(document.createElement("ul"), { id: `${field.list.id}_shown`, hidden: true });
    made.setAttribute("role", "listbox");
    box.append(made);
    field.removeAttribute("list"); // from here on the list is ours
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", made.id], ["aria-expanded", "false"]]) field.setAttribute(name, value);
  }

  /** @param {Element} box */
  function open(box) {
    const offered = [...box.querySelectorAll("datalist option")].map((option) => /** @type {HTMLOptionElement} */ (option));
    list(box).replaceChildren(...offered.map((option, index) => {
      const row = Object.assign(document.createElement("li"), { id: `${list(box).id}_${index}`, role: "option" });
      row.append(Object.assign(document.createElement("span"), { textContent: option.value }));
      row.append(Object.assign(document.createElement("small"), { textContent: option.text }));
      row.dataset.value = option.value;
      return row;
    }));
    const none = input(box).value ? "Nothing is called that." : "There is nothing to choose yet.";
    if (!offered.length) list(box).append(Object.assign(document.createElement("li"), { className: "muted", textContent: none }));
    show(box, true);
    move(box, rows(box).findIndex((row) => /** @type {HTMLElement} */ (row).dataset.value === input(box).value));
  }

  /** @param {Element} box @param {boolean} isOpen */
  function show(box, isOpen) {
    list(box).hidden = !isOpen;
    input(box).setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) input(box).removeAttribute("aria-activedescendant");
  }

  /** @param {Element} box @param {number} index */
  function move(box, index) {
    rows(box).forEach((row, at) => row.setAttribute("aria-selected", String(at === index)));
    input(box).setAttribute("aria-activedescendant", rows(box)[index]?.id || "");
    rows(box)[index]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {Element} box @param {Element | undefined} row */
  function take(box, row) {
    if (row instanceof HTMLElement && row.dataset.value) input(box).value = row.dataset.value;
    show(box, false);
    input(box).dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** @param {KeyboardEvent} event @param {Element} box */
  function steer(event, box) {
    const isOpen = !list(box).hidden;
    const now = rows(box).findIndex((row) => row.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!isOpen) open(box);
      else move(box, Math.max(0, Math.min(now + (event.key === "ArrowDown" ? 1 : -1), rows(box).length - 1)));
    } else if (event.key === "Enter" && isOpen && now >= 0) take(box, rows(box)[now]);
    else if (event.key === "Escape" && isOpen) { show(box, false); event.stopPropagation(); }
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => { const box = here(event.target); if (box) steer(event, box); });
  document.addEventListener("focusin", (event) => {
    const box = here(event.target);
    if (box) { input(box).select(); open(box); }
  });
  document.addEventListener("focusout", (event) => { const box = here(event.target); if (box) show(box, false); });
  document.addEventListener("mousedown", (event) => {
    const box = here(event.target);
    if (!box || !(event.target instanceof Element)) return;
    if (event.target === input(box)) { if (document.activeElement === input(box)) open(box); return; }
    event.preventDefault(); // the input keeps the focus
    const row = event.target.closest("li[role=option]");
    if (row) take(box, row);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const box = here(event.target);
    if (box && document.activeElement === input(box)) { open(box); move(box, 0); }
  });
  const all = () => document.querySelectorAll("[data-choice]").forEach(bind);
  document.addEventListener("htmx:load", all);
  if (document.readyState !== "loading") all();
  else document.addEventListener("DOMContentLoaded", all);
})();
