// @ts-check
/* Forms with data-confirm="name" ask for that name before they are sent; data-confirm-text says what is touched.
   What was typed goes along as `confirm`, so that the server can check it too. */
(() => {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(form, event.submitter);
  }, true);

  /** @param {HTMLFormElement} form @param {HTMLElement | null} submitter */
  function ask(form, submitter) {
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("confirm"));
    const input = /** @type {HTMLInputElement} */ (dialog.querySelector("input"));
    const go = /** @type {HTMLButtonElement} */ (dialog.querySelector('[value="confirm"]'));
    const name = form.dataset.confirm || "";
    const set = (selector, text) => { dialog.querySelector(selector).textContent = text; };
    set("h2", form.dataset.confirmTitle || "Are you sure?");
    set("[data-text]", form.dataset.confirmText || "");
    set("[data-name]", name);
    go.textContent = submitter?.textContent?.trim() || "Go on";
    input.value = "";
    go.disabled = true;
    input.oninput = () => { go.disabled = input.value !== name; };
    // Enter in the field presses the form's first button, which is Cancel.
    input.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (!go.disabled) go.click();
    };
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "confirm" && send(form, submitter, input.value);
    dialog.showModal();
    input.focus();
  }

  /** @param {HTMLFormElement} form @param {HTMLElement | null} submitter @param {string} typed */
  function send(form, submitter, typed) {
    const field = form.querySelector('input[name="confirm"]') || document.createElement("input");
    Object.assign(field, { type: "hidden", name: "confirm", value: typed });
    form.append(field);
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter);
    delete form.dataset.confirmed;
  }
})();
