// @ts-check
/* A click on a point of a chart in [data-steps] opens that step's samples. The value is the address of step 0. */
(() => {
  document.addEventListener("yard:point", (event) => {
    const box = event.target instanceof Element ? event.target.closest("[data-steps]") : null;
    const step = Math.round(/** @type {CustomEvent} */ (event).detail.x);
    if (!(box instanceof HTMLElement) || !(step >= 1)) return;
    location.assign((box.dataset.steps || "").replace(/0$/, String(step)));
  });
})();
