// @ts-check
/* Buttons with data-copy put that text on the clipboard and say so for a moment. */
(() => {
  /** @param {string} text */
  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Over plain http on a name other than localhost there is no clipboard API.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("The browser refused to copy.");
  }

  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    if (!(button instanceof HTMLElement)) return;
    try {
      await copy(button.dataset.copy || "");
      button.classList.add("done");
      button.title = "Copied";
    } catch (error) {
      button.title = `Not copied: ${error}`;
    }
    setTimeout(() => {
      button.classList.remove("done");
      button.title = "Copy";
    }, 1500);
  });
})();
