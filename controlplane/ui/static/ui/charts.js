// @ts-check
/* Draws the figures that charts.py built: [data-chart] names the json_script that holds one. Colours are the theme's.
   With data-chart-url the figure is read again: every two seconds while data-live is there, and on zoom with ?x0=&x1= for detail. */
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
      annotations: notes.map(themedNote),
    };
  }

  /** @param {Element} box */
  function draw(box) {
    const figure = figures.get(box);
    const options = { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset" };
    return plotly().react(box, figure.data.map(themedTrace), themedLayout(figure.layout, box), options);
  }

  /** @param {HTMLElement} box */
  async function reread(box) {
    const url = new URL(box.dataset.chartUrl || "", location.href);
    const [x0, x1] = (box.dataset.zoom || "").split(",");
    if (x1) { url.searchParams.set("x0", x0); url.searchParams.set("x1", x1); }
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    box.classList.toggle("stale", !answer.ok);
    box.title = answer.ok ? "" : `Not current: the yard answered ${answer.status}.`;
    if (!answer.ok || !box.isConnected) return;
    figures.set(box, await answer.json());
    await draw(box);
  }

  /** @param {HTMLElement} box */
  function refresh(box) {
    return reread(box).catch((error) => { box.classList.add("stale"); box.title = `Not current: ${error.message}`; });
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
    if (!data || figures.has(box)) return;
    figures.set(box, JSON.parse(data.textContent || ""));
    await draw(box);
    /** @type {any} */ (box).on("plotly_relayout", (/** @type {any} */ change) => zoomed(box, change));
    box.dataset.drawn = "yes";
    follow(box);
  }

  const all = () => [...document.querySelectorAll("[data-chart]")].map((box) => /** @type {HTMLElement} */ (box));
  document.addEventListener("htmx:load", () => all().forEach(bind));
  document.addEventListener("yard:theme", () => all().filter((box) => figures.has(box)).forEach(draw));
  if (document.readyState !== "loading") all().forEach(bind);
  else document.addEventListener("DOMContentLoaded", () => all().forEach(bind));
})();
