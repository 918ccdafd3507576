// @ts-check
/* Ctrl K: one list of pages and of the project's objects. / goes to the page's own search, ? lists the keys.
   Objects come from GET <data-search-url>?q= as [{kind, name, url}]. */
(() => {
  const dialog = () => /** @type {HTMLDialogElement | null} */ (document.getElementById("palette"));
  let asked = new AbortController();
  let timer = 0;

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
    show(pages(words));
    if (!box || !note) return;
    note.textContent = "";
    if (!words || !box.dataset.searchUrl) return; // outside a project there are only pages
    const query = new URLSearchParams({ q: words });
    try {
      const answer = await fetch(`${box.dataset.searchUrl}?${query}`, { signal: asked.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`the search answered ${answer.status}`);
      const objects = await answer.json();
      show([...objects, ...pages(words)]);
      if (!box.querySelector("li")) note.textContent = `Nothing is called “${words}”.`;
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "AbortError") note.textContent = `Only pages are listed: ${/** @type {Error} */ (error).message}.`;
    }
  }

  function open() {
    const box = dialog();
    if (!box || box.open) return;
    box.showModal();
    const input = /** @type {HTMLInputElement} */ (box.querySelector("input"));
    input.value = "";
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
    if (event.target.closest("[data-palette-open]")) open();
    if (event.target === dialog()) dialog()?.close();
  });
})();
