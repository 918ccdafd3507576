// @ts-check
/* A slider beside a number: [data-slider] holds a range input, hidden without this script, and the number that is sent.
   data-low and data-high are the ends; with data-log the slider moves by the logarithm, as sizes want it. */
(() => {
  const STEPS = 400;

  /** @param {HTMLElement} box */
  function parts(box) {
    const [range, number] = [...box.querySelectorAll("input")];
    const log = "log" in box.dataset;
    const low = Number(box.dataset.low), high = Number(box.dataset.high);
    const to = log ? (/** @type {number} */ value) => Math.log(value + 1) : (/** @type {number} */ value) => value;
    const from = log ? (/** @type {number} */ value) => Math.exp(value) - 1 : (/** @type {number} */ value) => value;
    return { range, number, log, low: to(low), span: to(high) - to(low) || 1, to, from };
  }

  /** Three digits are as fine as a hand is. @param {number} value @param {boolean} log */
  function rounded(value, log) {
    return log ? Math.round(Number(value.toPrecision(3))) : Math.round(value * 100) / 100;
  }

  /** @param {HTMLElement} box */
  function follow(box) {
    const { range, number, low, span, to } = parts(box);
    range.hidden = false;
    range.value = String(Math.round(((to(Number(number.value)) - low) / span) * STEPS));
  }

  document.addEventListener("input", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const box = input.closest("[data-slider]");
    if (!(box instanceof HTMLElement)) return;
    const { range, number, log, low, span, from } = parts(box);
    if (input === range) number.value = String(rounded(from(low + (Number(range.value) / STEPS) * span), log));
    else follow(box);
  }, true); // before htmx sends the form

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-slider]").forEach((box) => follow(/** @type {HTMLElement} */ (box))));
})();
