// @ts-check
/* Keeps what is live honest: relative times move on, logs stay at their end while one looks at it, and a page whose
   updates fail says so instead of looking current. */
(() => {
  const steps = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  /** @param {HTMLTimeElement} time */
  function refresh(time) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const amount = Math.abs(seconds);
    if (amount < 10) { time.textContent = "just now"; return; }
    const [size, unit] = /** @type {[number, string]} */ (steps.find(([size]) => amount >= /** @type {number} */ (size)));
    const text = `${Math.floor(amount / size)}\u00a0${unit}`;
    time.textContent = seconds > 0 ? `${text} ago` : `in ${text}`;
  }
  setInterval(() => document.querySelectorAll("time[title]").forEach((time) => refresh(/** @type {HTMLTimeElement} */ (time))), 10_000);

  const logs = () => document.querySelectorAll(".log[data-follow]");
  const atEnd = new WeakMap();
  document.addEventListener("htmx:beforeSwap", () => logs().forEach((log) => atEnd.set(log, log.scrollHeight - log.scrollTop - log.clientHeight < 24)));
  document.addEventListener("htmx:afterSettle", () => logs().forEach((log) => { if (atEnd.get(log) !== false) log.scrollTop = log.scrollHeight; }));

  // On a phone the strip is wider than the screen: begin where one is.
  document.addEventListener("htmx:load", () => document.querySelectorAll(".lineage .here").forEach((step) => {
    const strip = /** @type {HTMLElement} */ (step.parentElement);
    strip.scrollLeft = /** @type {HTMLElement} */ (step).offsetLeft - strip.offsetLeft - 60;
  }));

  /** @param {string} text */
  function tell(text) {
    const area = document.getElementById("messages");
    if (!area) return;
    const old = document.getElementById("not-live");
    if (!text) { old?.remove(); return; }
    const note = old || Object.assign(document.createElement("div"), { id: "not-live", className: "notice error" });
    note.textContent = text;
    area.append(note);
  }
  document.addEventListener("htmx:sendError", () => tell("The yard cannot be reached: this page shows what it last knew."));
  document.addEventListener("htmx:responseError", (event) => {
    const status = /** @type {CustomEvent} */ (event).detail.xhr.status;
    tell(status === 403 ? "You may not do that, or you are signed out." : `The yard answered with an error (${status}).`);
  });
  document.addEventListener("htmx:afterOnLoad", (event) => /** @type {CustomEvent} */ (event).detail.successful && tell(""));
})();
