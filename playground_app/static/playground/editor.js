// @ts-check
/* The playground: completes as one types. Each keystroke cancels the request before it, down to the engine; Tab accepts,
   Esc dismisses; text that had come when a request was stopped stays. Latency is what this page saw. */
(() => {
  const pauseMs = 120; // from the last keystroke to the request: shorter asks for text that nobody waits for
  const seenMs = 750; // on screen for so long counts as seen

  /** @param {Response} answer */
  async function* events(answer) {
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n\n");
      rest = lines.pop() || "";
      for (const line of lines) if (line.startsWith("data: {")) yield JSON.parse(line.slice(6));
    }
  }

  /** @param {HTMLElement} card */
  function start(card) {
    const ace = /** @type {any} */ (globalThis).ace;
    ace.config.set("basePath", card.dataset.ace);
    const editor = ace.edit(card.querySelector("#editor"));
    editor.setOptions({ mode: "ace/mode/python", useWorker: false, showPrintMargin: false, fontSize: 13.5, useSoftTabs: true, tabSize: 4, highlightGutterLine: true });
    editor.renderer.setStyle("ace_house");
    const settings = /** @type {HTMLFormElement} */ (document.querySelector("[data-settings]"));
    const headers = { "Content-Type": "application/json", Accept: "text/event-stream", ...JSON.parse(document.body.getAttribute("hx-headers") || "{}") };
    /** @param {string} name @param {string} text */
    const show = (name, text) => { const spot = card.querySelector(`[data-${name}]`); if (spot) spot.textContent = text; };
    let ghost = "", id = "", shownAt = 0, timer = 0, seenTimer = 0, accepting = false;
    /** @type {AbortController | null} */
    let running = null;

    /** @param {string} kind @param {string} of */
    function tell(kind, of) {
      const body = new URLSearchParams({ completion_id: of, kind, elapsed_ms: String(Math.round(performance.now() - shownAt)) });
      return fetch(card.dataset.feedback || "", { method: "POST", body, headers: { "X-CSRFToken": headers["X-CSRFToken"] }, keepalive: true });
    }

    function body() {
      const at = editor.getCursorPosition(), session = editor.getSession();
      const { Range } = ace.require("ace/range");
      const last = session.getLength() - 1;
      const prefix = session.getTextRange(new Range(0, 0, at.row, at.column));
      const suffix = session.getTextRange(new Range(at.row, at.column, last, session.getLine(last).length));
      const asked = { model: card.dataset.model, prompt: prefix, language: "python" };
      for (const name of ["temperature", "top_p", "max_tokens", "seed"]) if (settings[name].value !== "") asked[name] = Number(settings[name].value);
      if (settings.stop.value) asked.stop = [settings.stop.value.replaceAll("\\n", "\n")];
      const middle = settings.fim.checked && suffix.trim() !== "";
      show("mode", middle ? "Python, fill in the middle" : "Python, left to right");
      return middle ? { ...asked, suffix } : asked;
    }

    async function complete() {
      const asked = body();
      if (!asked.prompt.trim()) return;
      const mine = (running = new AbortController());
      const begun = performance.now();
      card.dataset.state = "asking";
      try {
        const answer = await fetch(card.dataset.complete || "", { method: "POST", headers, body: JSON.stringify(asked), signal: mine.signal });
        if (!answer.ok) throw new Error((await answer.json()).error.message);
        let first = 0;
        for await (const event of events(answer)) {
          if (event.error) throw new Error(event.error.message);
          const came = take(event, begun);
          first ||= came;
          if (event.usage) finish(event.usage.completion_tokens, begun, first);
        }
        show("note", ghost ? "" : "nothing to add");
      } catch (error) {
        if (!mine.signal.aborted) show("note", /** @type {Error} */ (error).message);
      } finally {
        if (running === mine) { running = null; card.dataset.state = "done"; }
      }
    }

    /** @param {any} event @param {number} begun */
    function take(event, begun) {
      const text = event.choices[0]?.text || "";
      if (!text) return 0;
      const now = performance.now();
      if (!ghost) {
        id = event.id; shownAt = now;
        show("first", `${(now - begun).toFixed(0)} ms`); show("note", "");
        clearTimeout(seenTimer);
        seenTimer = window.setTimeout(tell, seenMs, "view", id);
        const link = /** @type {HTMLAnchorElement} */ (document.querySelector("[data-last]"));
        link.href = `${location.pathname.replace(/playground\/$/, "")}completions/${id}/`; link.hidden = false;
      }
      ghost += text;
      card.dataset.ghost = ghost;
      editor.setGhostText(ghost, editor.getCursorPosition());
      return now;
    }

    /** @param {number} tokens @param {number} begun @param {number} first */
    function finish(tokens, begun, first) {
      const now = performance.now();
      show("total", `${(now - begun).toFixed(0)} ms`);
      show("rate", first && tokens > 1 ? ((tokens - 1) / Math.max((now - first) / 1000, 0.001)).toFixed(0) : "–");
    }

    function clear() {
      running?.abort(); running = null;
      clearTimeout(timer); clearTimeout(seenTimer);
      ghost = ""; delete card.dataset.ghost;
      editor.removeGhostText();
    }

    function typed() {
      if (accepting) return;
      clear();
      timer = window.setTimeout(complete, pauseMs);
    }

    function accept() {
      if (!ghost) return editor.execCommand("indent");
      const text = ghost, of = id;
      clear();
      accepting = true; editor.insert(text); accepting = false;
      tell("view", of).then(() => tell("accept", of));
      timer = window.setTimeout(complete, pauseMs);
    }

    function dismiss() {
      if (running) { running.abort(); running = null; card.dataset.state = "stopped"; show("note", "stopped; what had come stays"); return; }
      if (ghost) tell("dismiss", id);
      clear();
    }

    editor.commands.addCommand({ name: "accept", bindKey: "Tab", exec: accept });
    editor.commands.addCommand({ name: "dismiss", bindKey: "Esc", exec: dismiss });
    editor.session.on("change", typed);
    editor.selection.on("changeCursor", () => { if (!accepting && ghost) clear(); });
    editor.navigateFileEnd(); editor.focus();
    card.dataset.state = "ready";
    complete();
  }

  document.querySelectorAll("[data-playground]").forEach((card) => start(/** @type {HTMLElement} */ (card)));
  document.querySelectorAll("select[data-submit]").forEach((box) => box.addEventListener("change", () => /** @type {HTMLSelectElement} */ (box).form?.submit()));
})();
