// @ts-check
/* Draws the figures that charts.py built: [data-chart] names the json_script that holds one. Colours are the theme's.
   With data-chart-url the figure is read from there if the page holds none, so that a page need not wait for its charts;
   and read again: every two seconds while data-live is there, and on zoom with ?x0=&x1= for detail. A click on a point is
   told as the event yard:point, and opens the address that the point's customdata holds. */
(() => {
  const plotly = () => /** @type {any} */ (globalThis).Plotly;
  const every = 2000;
  /** @type {WeakMap<Element, any>} */
  const figures = new WeakMap();

  // The computed colour of an element: light-dark() resolved to an rgb() that plotly can read.
  const probe = document.createElement("span");
  probe.hidden = true;
  /** @param {string} name */
  function colour(name) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  /** @param {any} trace */
  function themedTrace(trace) {
    if (trace.meta?.mark) return { ...trace, marker: { ...trace.marker, color: colour("bad") } };
    if (trace.meta?.hue === undefined) return trace;
    const hue = colour(`chart-${trace.meta.hue + 1}`);
    return { ...trace, line: { ...trace.line, color: hue }, marker: { ...trace.marker, color: hue } };
  }

  /** @param {any} note */
  function themedNote(note) {
    const hue = /^hue:(\d+)$/.exec(note.name || "");
    const ink = note.name === "mark" ? "bad" : hue ? `chart-${Number(hue[1]) + 1}` : "ink-3";
    return { ...note, font: { ...note.font, size: 11, color: colour(ink) } };
  }

  /** @param {any} polar @param {any} axis */
  const themedPolar = (polar, axis) => ({
    ...polar, bgcolor: "rgba(0,0,0,0)", radialaxis: { ...polar.radialaxis, ...axis }, angularaxis: { ...polar.angularaxis, ...axis },
  });

  /** @param {any} layout @param {Element} box */
  function themedLayout(layout, box) {
    const axis = { gridcolor: colour("line"), linecolor: colour("line-2"), tickfont: { size: 11 } };
    const narrow = box.clientWidth < 480; // names at the edge would take half of a phone: a legend instead
    const notes = (layout.annotations || []).filter((note) => !narrow || !/^(hue:|mark)/.test(note.name || ""));
    const named = narrow && notes.length < (layout.annotations || []).length;
    const size = { color: colour("ink-3"), size: 11, family: getComputedStyle(box).fontFamily };
    return {
      ...layout,
      font: size,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line-2"), font: { ...size, color: colour("ink") } },
      ...(named && { showlegend: true, legend: { orientation: "h", y: -0.25 }, margin: { ...layout.margin, r: 16 } }),
      xaxis: { ...layout.xaxis, ...axis },
      yaxis: { ...layout.yaxis, ...axis },
      ...(layout.polar && { polar: themedPolar(layout.polar, axis) }),
      annotations: notes.map(themedNote),
    };
  }

  /** @param {HTMLElement} box */
  async function draw(box) {
    const figure = figures.get(box);
    const options = { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset" };
    if (!box.dataset.drawn) box.textContent = "";
    await plotly().react(box, figure.data.map(themedTrace), themedLayout(figure.layout, box), options);
    if (box.dataset.drawn) return;
    box.setAttribute("aria-label", figure.layout.meta?.label || "Chart");
    /** @type {any} */ (box).on("plotly_relayout", (/** @type {any} */ change) => zoomed(box, change));
    /** @type {any} */ (box).on("plotly_click", (/** @type {any} */ click) => {
      const link = click.points[0].customdata;
      if (typeof link === "string" && link.startsWith("/")) location.assign(link);
      box.dispatchEvent(new CustomEvent("yard:point", { bubbles: true, detail: { x: click.points[0].x, y: click.points[0].y } }));
    });
    box.dataset.drawn = "yes";
  }

  /** A chart that cannot be read says so: on hover where an older one is drawn, else in its place.
   @param {HTMLElement} box @param {string} why */
  function stale(box, why) {
    box.classList.toggle("stale", Boolean(why));
    box.title = why;
    if (why && !box.dataset.drawn) box.textContent = why;
  }

  /** @param {HTMLElement} box */
  async function reread(box) {
    const url = new URL(box.dataset.chartUrl || "", location.href);
    const [x0, x1] = (box.dataset.zoom || "").split(",");
    if (x1) { url.searchParams.set("x0", x0); url.searchParams.set("x1", x1); }
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    stale(box, answer.ok ? "" : `Not current: the yard answered ${answer.status}.`);
    if (!answer.ok || !box.isConnected) return;
    figures.set(box, await answer.json());
    await draw(box);
  }

  /** @param {HTMLElement} box */
  function refresh(box) {
    return reread(box).catch((error) => stale(box, `Not current: ${error.message}`));
  }

  /** @param {HTMLElement} box */
  async function follow(box) {
    while (box.isConnected && "live" in box.dataset) {
      await new Promise((done) => setTimeout(done, every));
      if (!document.hidden && box.isConnected) await refresh(box);
    }
  }

  /** @param {HTMLElement} box @param {any} change */
  function zoomed(box, change) {
    const from = change["xaxis.range[0]"], to = change["xaxis.range[1]"];
    if (from === undefined && !change["xaxis.autorange"]) return;
    // A log axis tells its range in powers of ten.
    const scale = figures.get(box).layout.xaxis.type === "log" ? (/** @type {number} */ at) => 10 ** at : (/** @type {number} */ at) => at;
    box.dataset.zoom = from === undefined ? "" : `${scale(from)},${scale(to)}`;
    if (box.dataset.chartUrl) refresh(box);
  }

  /** @param {HTMLElement} box */
  async function bind(box) {
    const data = document.getElementById(box.dataset.chart || "");
    if (box.dataset.bound || (!data && !box.dataset.chartUrl)) return;
    box.dataset.bound = "yes";
    if (data) figures.set(box, JSON.parse(data.textContent || ""));
    await (data ? draw(box) : refresh(box));
    follow(box);
  }

  const all = () => [...document.querySelectorAll("[data-chart]")].map((box) => /** @type {HTMLElement} */ (box));
  document.addEventListener("htmx:load", () => all().forEach(bind));
  // What was followed has ended: once more for the last points, and no more.
  document.addEventListener("yard:ended", () => all().filter((box) => "live" in box.dataset).forEach((box) => {
    delete box.dataset.live;
    refresh(box);
  }));
  document.addEventListener("yard:theme", () => all().filter((box) => figures.has(box)).forEach(draw));
  if (document.readyState !== "loading") all().forEach(bind);
  else document.addEventListener("DOMContentLoaded", () => all().forEach(bind));
})();
