// The page of one run: each part is replaced when the server sends it again; rows are added to those that are here.
"use strict";
const Run = (() => {
  const { byId, make } = Live;
  const PAGE = 15;
  const base = location.pathname.replace(/\/$/, "");
  let epoch = null, rows = [], kinds = [], fetching = false, wanted = 0, first = 0, live = "";
  const started = new Map();  // element -> time in ms at which what it counts began

  const parts = {
    state(data) {
      byId("state").textContent = data.text;
      byId("status").className = `status ${data.style} ${live}`;
    },
    live(word) {
      live = word;
      byId("status").classList.toggle("running", word === "running");
    },
    loading(isLoading) {
      if (isLoading) byId("sentence").textContent = "Reading a long run.";
    },
    verdict([before, change, after, basis]) {
      byId("sentence").replaceChildren(before, ...(change ? [make("em", "", change)] : []), after);
      byId("basis").textContent = basis;
      byId("basis").hidden = !basis;
      document.title = `${before}${change}${after}`;
    },
    figures(all) {
      byId("figures").replaceChildren(...all.map(([value, name, note]) => {
        const div = make("div");
        div.append(make("dt", "", name), make("dd", "", value));
        if (note) div.append(make("dd", "note", note));
        return div;
      }));
    },
    identity(all) { byId("identity").replaceChildren(...all.map((text) => make("span", "", text))); },
    damage(all) { byId("damage").replaceChildren(...all.map((text) => make("li", "", text))); },
    devices(all) {
      started.clear();
      byId("devices").replaceChildren(...all.map(device));
      tick();
    },
    course(data) {
      kinds = data.kinds;
      byId("metric").textContent = data.metric;
      Course.show(data);
    },
    curves: LossCurves.show,
    log(all) { showLog(all, null); },
    actions(all) { showLog(null, all); },
    limits(all) {
      byId("limits-section").hidden = !all.length;
      byId("limits").replaceChildren(...all.map(([title, text]) => {
        const div = make("div");
        div.append(make("dt", "", title), make("dd", "", text));
        return div;
      }));
    },
  };

  function device(d) {
    const card = make("div", "device");
    card.append(make("span", "name", d.name), make("span", "doing", d.doing));
    if (d.fraction !== null) {
      const bar = make("progress");
      bar.max = 1;
      bar.value = d.fraction;
      card.append(bar);
    }
    const details = make("span", "details");
    const percent = d.fraction === null ? "" : `${Math.round(100 * d.fraction)}%`;
    const left = d.left_s === null ? "" : `about ${Live.duration(d.left_s)} of training left`;
    const rest = [percent, d.phase, d.speed, left].filter(Boolean).join(", ");
    details.append(rest);
    if (d.since) {
      const clock = make("span");
      details.append(rest ? ", for " : "for ", clock);
      started.set(clock, Date.parse(d.since));
    }
    card.append(details);
    for (const [scope, ...numbers] of d.readings) {
      const line = make("div", "readings");
      line.append(make("b", "", scope), ...numbers.map((text) => make("span", "", text)));
      card.append(line);
    }
    return card;
  }

  function tick() {
    for (const [clock, began] of started) clock.textContent = Live.duration((Live.now() - began) / 1000);
  }

  let logLines = [], actionLines = [];
  function showLog(log, actions) {
    logLines = log || logLines;
    actionLines = actions || actionLines;
    const all = [...logLines, ...actionLines].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)).reverse();
    byId("log-section").hidden = !all.length;
    byId("log").replaceChildren(...all.map(([ts, kind, text]) => {
      const li = make("li", kind), time = make("time", "", clockOf(ts));
      time.dateTime = ts;
      time.title = ts;
      li.append(time, make("span", "", text));
      return li;
    }));
  }

  function clockOf(ts) {
    const then = new Date(ts);
    return Number.isNaN(then.getTime()) ? "" : then.toLocaleTimeString("en-GB");
  }

  // Rows that are missing between ours and the server's are fetched, at most 2,000 at a time.
  async function fill() {
    if (fetching) return;
    fetching = true;
    try {
      while (rows.length < wanted) {
        const of = epoch;
        const answer = await fetch(`${base}/rows?epoch=${encodeURIComponent(of)}&from=${rows.length}`);
        if (!answer.ok) return;
        const data = await answer.json();
        if (of !== epoch) continue;
        if (data.epoch !== epoch || data.from !== rows.length || !data.rows.length) return;
        rows = rows.concat(data.rows);
        wanted = Math.max(wanted, data.total);
        showRows();
      }
    } catch { /* the stream shows that the server is away, and comes back with the number of rows */
    } finally {
      fetching = false;
    }
  }

  function takeRows(data) {
    if (data.epoch !== epoch) {
      const isOther = epoch !== null;
      epoch = data.epoch;
      rows = [];
      first = 0;
      if (isOther) for (const id of ["course-section", "curves-section", "log-section"]) byId(id).hidden = true;
    }
    wanted = data.total;
    if (data.rows.length && data.from <= rows.length) rows = rows.slice(0, data.from).concat(data.rows);
    if (rows.length > data.total) rows = rows.slice(0, data.total);
    showRows();
    if (rows.length < wanted) fill();
  }

  function showRows() {
    byId("rows-section").hidden = !rows.length;
    Course.rows(rows);
    const end = rows.length - first, from = Math.max(0, end - PAGE);
    byId("verdicts").tBodies[0].replaceChildren(...rows.slice(from, end).reverse().map(row));
    byId("newer").disabled = first === 0;
    byId("older").disabled = from === 0;
    byId("range").textContent = rows.length ? `${(from + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  }

  function row([iter, change, value, gain, , kind, end, interval, source, time, why]) {
    const tr = make("tr", kind === 0 ? "keep" : "");
    const cell = (name, text) => { const td = make("td", name, text); tr.append(td); return td; };
    cell("iter num", iter.toLocaleString("en"));
    cell("change", change);
    cell("bpb num", value === null ? "-" : Live.number(value));
    const g = cell("gain num", gain === null ? "-" : Course.signed(gain));
    if (interval) g.append(make("small", "", interval));
    cell("end", end);
    cell("by", source);
    cell("time num", time);
    cell("why", why);
    return tr;
  }

  byId("older").addEventListener("click", () => { first = Math.min(first + PAGE, rows.length - 1); showRows(); });
  byId("newer").addEventListener("click", () => { first = Math.max(0, first - PAGE); showRows(); });
  byId("report").href = `${base}/report`;
  setInterval(tick, 1000);

  Live.follow(`${base}/events`, {
    rows: takeRows,
    sections(data) {
      if ("live" in data) parts.live(data.live);
      for (const [name, value] of Object.entries(data)) if (parts[name] && name !== "live") parts[name](value);
    },
    gone() {
      byId("state").textContent = "This run is no longer in the directories that are served.";
      byId("status").className = "status bad";
    },
  });
  return { parts, count: () => rows.length };
})();
