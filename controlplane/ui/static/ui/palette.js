// @ts-check
/* Ctrl K: one list of pages and of the project's objects. / goes to the page's own search, ? lists the keys.
   Objects come from GET <data-search-url>?q= as [{kind, name, url}]. A [data-palette-open] with a data-search-url of its
   own lists what that answers and nothing else; P presses the one that switches projects. */
(() => {
  const dialog = () => /** @type {HTMLDialogElement | null} */ (document.getElementById("palette"));
  let asked = new AbortController();
  let timer = 0;
  /** The link whose list is shown instead of everything. @type {HTMLElement | null} */
  let only = null;

  /** @param {string} words @returns {{kind: string, name: string, url: string}[]} */
  function pages(words) {
    const links = [...document.querySelectorAll("a[data-nav]")].map((link) => /** @type {HTMLAnchorElement} */ (link));
    const found = links.filter((link) => (link.textContent || "").toLowerCase().includes(words.toLowerCase()));
    return found.map((link) => ({ kind: "page", name: link.textContent || "", url: link.href }));
  }

  /** @param {{kind: string, name: string, url: string}[]} items */
  function show(items) {
    const list = dialog()?.querySelector("ul");
    list?.replaceChildren(...items.slice(0, 40).map((item, index) => {
      const link = Object.assign(document.createElement("a"), { href: item.url, tabIndex: -1 });
      link.append(Object.assign(document.createElement("span"), { textContent: item.name }));
      link.append(Object.assign(document.createElement("small"), { textContent: item.kind }));
      const row = Object.assign(document.createElement("li"), { id: `palette-${index}`, role: "option" });
      row.append(link);
      return row;
    }));
    choose(0);
  }

  /** @param {number} index */
  function choose(index) {
    const box = dialog();
    const rows = [...(box?.querySelectorAll("li") || [])];
    rows.forEach((row, at) => row.setAttribute("aria-selected", String(at === index)));
    box?.querySelector("input")?.setAttribute("aria-activedescendant", rows[index]?.id || "");
    rows[index]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} words */
  async function search(words) {
    const box = dialog();
    const note = box?.querySelector("p");
    asked.abort();
    asked = new AbortController();
    const near = only ? [] : pages(words);
    const url = only?.dataset.searchUrl || (words && box?.dataset.searchUrl); // outside a project there are only pages
    show(near);
    if (!box || !note) return;
    note.textContent = "";
    if (!url) return;
    const query = new URLSearchParams({ q: words });
    try {
      const answer = await fetch(`${url}?${query}`, { signal: asked.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`the search answered ${answer.status}`);
      const objects = await answer.json();
      show([...objects, ...near]);
      if (!box.querySelector("li")) note.textContent = `Nothing is called “${words}”.`;
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      if (name !== "AbortError") note.textContent = `${only ? "The list cannot be read" : "Only pages are listed"}: ${message}.`;
    }
  }

  /** @param {Element | null} [opener] */
  function open(opener = null) {
    const box = dialog();
    if (!box || box.open) return;
    only = opener instanceof HTMLElement && opener.dataset.searchUrl ? opener : null;
    box.showModal();
    const input = /** @type {HTMLInputElement} */ (box.querySelector("input"));
    input.value = "";
    input.placeholder = only?.dataset.placeholder || "Search runs, data, models, pages";
    search("");
    input.focus();
  }

  /** @param {KeyboardEvent} event */
  function steer(event) {
    const rows = [...(dialog()?.querySelectorAll("li") || [])];
    const now = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown") choose(Math.min(now + 1, rows.length - 1));
    else if (event.key === "ArrowUp") choose(Math.max(now - 1, 0));
    else if (event.key === "Enter") rows[now]?.querySelector("a")?.click();
    else return;
    event.preventDefault();
  }

  const typing = (target) => target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));

  document.addEventListener("keydown", (event) => {
    if (dialog()?.open) { steer(event); return; }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); open(); return; }
    if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "/") {
      event.preventDefault();
      const own = document.querySelector("[data-search]");
      if (own instanceof HTMLInputElement) { own.focus(); own.select(); } else open();
    }
    if (event.key === "p") { event.preventDefault(); /** @type {HTMLElement | null} */ (document.querySelector("a.switch"))?.click(); }
    // Pages of one after another: the next failed sample, the step before.
    const way = { j: "next", k: "prev" }[event.key];
    if (way) /** @type {HTMLElement | null} */ (document.querySelector(`.acts a[rel="${way}"]`))?.click();
    if (event.key === "?") /** @type {HTMLDialogElement | null} */ (document.getElementById("shortcuts"))?.showModal();
  });
  document.addEventListener("input", (event) => {
    if (!(event.target instanceof HTMLInputElement) || !event.target.closest("#palette")) return;
    const words = event.target.value.trim();
    clearTimeout(timer);
    timer = setTimeout(() => search(words), 120);
  });
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const opener = event.target.closest("[data-palette-open]");
    if (opener && !event.ctrlKey && !event.metaKey) { event.preventDefault(); open(opener); }
    if (event.target === dialog()) dialog()?.close();
  });
})();
