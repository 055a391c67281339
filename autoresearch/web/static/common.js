// What the pages share: elements made of text, and a stream of events that connects again by itself.
"use strict";
const Live = (() => {
  const byId = (id) => document.getElementById(id);
  let offsetMs = 0;  // the server's clock less ours

  // An element with a class and a text; text never becomes markup.
  function make(tag, className, text) {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  const now = () => Date.now() + offsetMs;

  function duration(seconds) {
    if (!(seconds >= 0)) return "";
    const s = Math.floor(seconds);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")} min`;
    return `${Math.floor(s / 86400)} d ${String(Math.floor(s / 3600) % 24).padStart(2, "0")} h`;
  }

  function showLink(word, text) {
    const link = byId("link");
    link.className = `link ${word}`;
    link.textContent = text;
  }

  // Calls handlers[name](data) for each event. After a loss it connects again: the server sends everything that
  // changed meanwhile. A server that is silent for longer than its heartbeat counts as lost too.
  function follow(url, handlers) {
    const SILENT_MS = 40000;
    let source = null, timer = 0, heard = 0, wait = 1000;

    function open() {
      clearTimeout(timer);
      if (source) source.close();
      heard = Date.now();
      source = new EventSource(url);
      source.onopen = () => { wait = 1000; heard = Date.now(); showLink("on", "live"); };
      source.onerror = () => {
        showLink("off", "not connected, trying again");
        source.close();
        clearTimeout(timer);
        timer = setTimeout(open, wait);
        wait = Math.min(10000, wait * 1.5);
      };
      const on = (name, action) => source.addEventListener(name, (event) => {
        heard = Date.now();
        action(JSON.parse(event.data));
      });
      on("clock", (data) => { offsetMs = 1000 * data.now - Date.now(); });
      for (const [name, action] of Object.entries(handlers)) on(name, action);
    }

    setInterval(() => { if (source && source.readyState === 1 && Date.now() - heard > SILENT_MS) open(); }, 5000);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && source && source.readyState === 2) open();
    });
    open();
    return { reopen: open };
  }

  // Draws at most once per frame, however often it is asked to.
  function onceAFrame(draw) {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    };
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // A canvas in the size of its place and the pixels of the screen; returns its context, width and height.
  function prepare(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    return { context, width, height };
  }

  // About `wanted` round numbers between two.
  function ticks(low, high, wanted) {
    const rough = (high - low) / wanted;
    if (!(rough > 0) || !Number.isFinite(rough)) return [low];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((s) => s * power).find((s) => s >= rough * 0.999);
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n += 1) found.push(n * step);
    return found;
  }

  const number = (value) => value === 0 || (Math.abs(value) >= 0.1 && Math.abs(value) < 1000)
    ? value.toFixed(4) : String(Number(value.toPrecision(6)));

  return { byId, make, now, duration, follow, onceAFrame, colour, prepare, ticks, number, showLink };
})();
