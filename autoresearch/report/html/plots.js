// Puts the points into the figures and the figures into the page: when they come near the window, in its colours.
"use strict";
const Plots = (() => {
  const FIGURES = JSON.parse(document.getElementById("plots").textContent);
  const C = DATA.columns;
  const shown = new Map();  // place -> what Bokeh made there
  const coarse = matchMedia("(pointer: coarse)").matches;

  const blank = () => ({ x: [], y: [], head: [], figures: [], why: [] });

  function put(source, i, x, y) {
    source.x.push(x);
    source.y.push(y);
    const number = C.iter[i].toLocaleString("en");
    source.head.push(C.value[i] === null ? number : `${number} · ${Table.change(i)}`);
    const measured = C.bpb[i] === null ? [] : [Table.number(C.bpb[i], 4), Table.signed(C.gain[i])];
    source.figures.push([...measured, C.names[C.end[i]]].join(" · "));
    source.why.push(C.texts[C.why[i]] || C.texts[C.said[i]]);
  }

  function coursePoints() {
    const found = {};
    const { high, lanes } = DATA.course;
    for (let i = 0; i < C.iter.length; i++) {
      const kind = DATA.kinds[C.kind[i]];
      const off = C.bpb[i] !== null && C.bpb[i] > high;
      const name = off ? "off scale" : kind;
      const y = off || C.bpb[i] === null ? lanes[name] : C.bpb[i];
      put(found[name] ||= blank(), i, C.iter[i], y);
    }
    return found;
  }

  // Points of one value stand beside each other, by a step that follows from the iteration's number.
  const jitter = (i) => ((C.iter[i] * 0.618034) % 1 - 0.5) * 0.44;

  function panelPoints({ knob, kind, low, floor }) {
    const found = {};
    const name = C.names.indexOf(knob);
    for (let i = 0; i < C.iter.length; i++) {
      if (C.knob[i] !== name || C.gain[i] === null || C.value[i] === null) continue;
      const gain = 100 * C.gain[i];
      const off = gain < low;
      const x = kind === "factors" ? [Table.value(i), jitter(i)] : C.value[i];
      put(found[off ? "off scale" : DATA.kinds[C.kind[i]]] ||= blank(), i, x, off ? floor : gain);
    }
    return found;
  }

  const asData = (points) => ({ data: { type: "map", entries: Object.entries(points) } });

  // What the figure's named objects take from this page.
  function contents(place) {
    const panel = DATA.panels[place];
    const points = panel ? panelPoints(panel) : coursePoints();
    const sources = Object.entries(points).map(([name, columns]) => [name, asData(columns)]);
    return new Map([...Object.entries(panel ? panel.fill : {}), ...sources]);
  }

  // The figure's own JSON, filled, and with the theme's colours in place of the light ones.
  function dressed(place) {
    const fill = contents(place);
    const { light, dark } = DATA.colours;
    const isDark = Page.theme() === "dark";
    const colours = new Map(Object.keys(light).map((name) => [light[name], isDark ? dark[name] : light[name]]));
    const figure = FIGURES[place === "course" ? place : DATA.panels[place].kind];
    return JSON.parse(JSON.stringify(figure), (key, value) => {
      if (typeof value === "string") return colours.get(value) || value;
      const attributes = value && value.type === "object" && value.attributes;
      if (!attributes) return value;
      if (fill.has(attributes.name)) Object.assign(attributes, fill.get(attributes.name));
      if (coarse && value.name === "Toolbar") attributes.active_drag = null;  // a finger scrolls the page
      return value;
    });
  }

  async function show(place) {
    const element = document.getElementById(place);
    const before = shown.get(place);
    if (before) before.clear();
    element.replaceChildren();
    const views = await Bokeh.embed.embed_item(dressed(place), element);
    shown.set(place, views);
    performance.mark(place);
    if (place === "course") zoomable(views);
  }

  // "Whole run" is there while only a stretch of it is seen.
  function zoomable(views) {
    const button = document.querySelector(".reset");
    const plot = views.roots[0].model;
    const { start, end } = plot.x_range;
    const look = () => button.classList.toggle("zoomed", plot.x_range.start > start || plot.x_range.end < end);
    plot.x_range.change.connect(look);
    button.hidden = false;
    button.onclick = () => plot.x_range.setv({ start, end });
    look();
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      show(entry.target.id);
    }
  }, { rootMargin: "600px 0px" });

  // A finger does not hover: where it tapped, the plot is told of a mouse, once it has been told that the finger left.
  function tapped(event) {
    const target = event.composedPath()[0];
    target.blur();  // the frame of the focus is for the keyboard
    if (event.pointerType !== "touch") return;
    const mouse = new PointerEvent("pointermove", { pointerType: "mouse", pointerId: 1, isPrimary: true, bubbles: true });
    const { pageX, pageY } = event;  // an event made here would have them without the page's scrolling
    Object.defineProperties(mouse, { pageX: { value: pageX }, pageY: { value: pageY } });
    setTimeout(() => target.dispatchEvent(mouse), 30);
  }

  Bokeh.set_log_level("warn");
  const places = [...document.querySelectorAll(".plot")].map((element) => element.id);
  for (const place of places) {
    near.observe(document.getElementById(place));
    document.getElementById(place).addEventListener("pointerup", tapped);
  }
  Page.onTheme(() => { for (const place of shown.keys()) show(place); });
  return { places, shown, show };
})();
